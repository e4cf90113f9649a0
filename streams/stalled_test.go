package streams_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/jobtest"
	"belfry/internal/metrics/metricstest"
	"belfry/internal/room"
	"belfry/streams"
	"belfry/streams/timer"
)

// While no claim can be written, due jobs are not even loaded, and loaded ones keep no
// room. All of them fire when the stream answers again.
func TestSilentJobsStreamIsWaitedFor(t *testing.T) {
	t.Parallel()
	var loads, ahead atomic.Int64
	var stands atomic.Pointer[time.Time] // the time that the clock stands still at; nil if it runs
	due := time.Now().Add(time.Hour)
	m, pool := metricstest.New(), room.New(room.Config{Bytes: 1 << 20})
	f := open(t, streams.Config{Metrics: m.Streams, InFlight: pool, Now: func() time.Time {
		if at := stands.Load(); at != nil {
			return *at
		}
		return time.Now().Add(time.Duration(ahead.Load()))
	}})
	f.InterceptReads(func(m *nats.Msg) *nats.Msg {
		if strings.Contains(m.Subject, "DIRECT.GET.KV_jobs_0") && strings.Contains(string(m.Data), "seq") {
			loads.Add(1)
		}
		return nil
	})
	f.route("r", job.NATS)
	f.run()
	const jobs = 4
	for i := range jobs {
		j := newJob(fmt.Sprint(i), "r", due.Add(time.Duration(i)*time.Hour))
		if i == 0 {
			j.Meta = jobtest.Meta(jobtest.LargeSize)
		}
		f.create(j)
	}
	becomes(t, m, `belfry_jobs_waiting{partition="0"}`, jobs)
	before := due.Add(-time.Second)
	stands.Store(&before) // they are loaded, and not due yet
	eventually(t, "the large job is loaded", func() bool { return pool.Held() > 0 })
	f.Silence("KV_jobs_0")
	eventually(t, "its room is given back", func() bool { return pool.Held() == 0 })
	was := loads.Load()
	stands.Store(nil)
	for i := range jobs { // each look is after the loads that the last one would have begun
		ahead.Store(int64(time.Duration(i+2)*time.Hour - 30*time.Minute))
		becomes(t, m, `belfry_jobs_overdue{partition="0"}`, float64(i+1))
	}
	if got := loads.Load() - was; got != 0 {
		t.Errorf("%d loads were tried while the stream was silent, want none", got)
	}
	f.Answered("KV_jobs_0")
	f.firedOnce(jobs)
	eventually(t, "all room is given back", func() bool { return pool.Held() == 0 })
}

// While the jobs stream refuses writes, few claims are tried. All jobs fire when it
// accepts writes again.
func TestRefusingJobsStreamIsTriedSeldom(t *testing.T) {
	t.Parallel()
	const jobs = 200
	var ahead atomic.Int64
	f := open(t, streams.Config{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	var mu sync.Mutex // guards tried
	var tried []time.Time
	var works atomic.Bool
	f.Intercept(func(ctx context.Context, m *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
		if m.Header.Get("Belfry-Status") == string(job.Firing) && !works.Load() {
			mu.Lock()
			defer mu.Unlock()
			tried = append(tried, time.Now())
			return nil, streamIsFull
		}
		return send(ctx, m)
	})
	f.route("r", job.NATS)
	f.run()
	for i := range jobs {
		f.create(newJob(fmt.Sprint(i), "r", time.Now().Add(time.Hour)))
	}
	f.Refuse("KV_jobs_0", streamIsFull)
	ahead.Store(int64(2 * time.Hour))
	const rounds = 3
	eventually(t, "claims are tried", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(tried) > rounds*timer.FewClaims
	})
	mu.Lock()
	took := tried[rounds*timer.FewClaims].Sub(tried[0])
	mu.Unlock()
	if took < (rounds-1)*time.Second {
		t.Errorf("%d claims are tried in %v, want %d a second", rounds*timer.FewClaims, took, timer.FewClaims)
	}
	works.Store(true)
	f.Answered("KV_jobs_0")
	f.firedOnce(jobs)
}

var streamIsFull = &jetstream.APIError{Code: 503, ErrorCode: 10077}
