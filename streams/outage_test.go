package streams_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/loglimit"
	"belfry/internal/logtest"
	"belfry/internal/metrics/metricstest"
	"belfry/streams"
)

// While nobody accepts the claims of due jobs, the log says so now and then, not for each
// of them.
func TestOutageIsLoggedOnce(t *testing.T) {
	t.Parallel()
	var log logtest.Log
	f := open(t, streams.Config{Log: slog.New(loglimit.New(log.Logger().Handler()))})
	f.route("r", job.NATS)
	const jobs = 100
	var refused atomic.Int64
	f.Intercept(func(ctx context.Context, m *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
		if isWrite(m, jobWrites, job.Firing) && refused.Load() < 5*jobs {
			refused.Add(1)
			return nil, nats.ErrNoResponders
		}
		return send(ctx, m)
	})
	keys := make([]job.Key, jobs)
	for i := range keys {
		j := newJob(fmt.Sprint(i), "r", time.Now())
		keys[i] = j.Key
		f.create(j)
	}
	began := time.Now()
	f.run()
	for _, k := range keys {
		f.reaches(k, job.Published)
	}
	if got := strings.Count(log.String(), "couldn't claim a due job"); got == 0 || got > 1+int(time.Since(began).Seconds()) {
		t.Errorf("%d lines for %d refusals in %v, want one a second", got, refused.Load(), time.Since(began))
	}
	if !strings.Contains(log.String(), "left_out=") {
		t.Errorf("the log does not say how many lines were left out:\n%s", log.String())
	}
}

// While the connection is lost, due jobs are not tried. All of them fire when it is back.
func TestLostConnectionIsWaitedFor(t *testing.T) {
	t.Parallel()
	var log logtest.Log
	var ahead atomic.Int64 // of our clock
	m := metricstest.New()
	f := open(t, streams.Config{Log: log.Logger(), Metrics: m.Streams, Now: func() time.Time {
		return time.Now().Add(time.Duration(ahead.Load()))
	}})
	f.route("r", job.NATS)
	f.run()
	const jobs = 20
	keys := make([]job.Key, jobs)
	for i := range keys {
		j := newJob(fmt.Sprint(i), "r", time.Now().Add(time.Hour))
		keys[i] = j.Key
		f.create(j)
	}
	becomes(t, m, `belfry_jobs_waiting{partition="0"}`, jobs)
	f.server.Stop()
	eventually(t, "the connection is lost", func() bool { return !f.nc.IsConnected() })
	ahead.Store(int64(2 * time.Hour))
	becomes(t, m, `belfry_jobs_overdue{partition="0"}`, jobs)
	f.server.Restart()
	eventually(t, "the connection is back", f.nc.IsConnected)
	for _, k := range keys {
		f.reaches(k, job.Published)
	}
	if said := log.String(); strings.Contains(said, "couldn't load a job yet") || strings.Contains(said, "couldn't claim a due job") {
		t.Errorf("it was tried meanwhile:\n%s", said)
	}
}
