package streams_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/logtest"
	"belfry/streams"
	"belfry/streams/journal"
)

// A leader that was cut off has not seen the last writes: it refuses a claim, and says
// that there is no such record. The job must not be forgotten because of that.
func TestLeaderBehindIsNotBelieved(t *testing.T) {
	for _, kind := range []job.RouteType{job.REST, job.NATS} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			f := open(t, streams.Config{})
			f.route("r", kind)
			// These count the reads by sequence, before the claim, and by key, after it.
			var bySeq, byKey, claims atomic.Int64
			f.InterceptReads(func(m *nats.Msg) *nats.Msg {
				switch asked := string(m.Data); {
				case strings.HasSuffix(m.Subject, "DIRECT.GET.KV_jobs_0") && bySeq.Load() < 2:
					return &nats.Msg{Header: nats.Header{"Status": {"404"}}}
				case strings.Contains(asked, `"seq"`) && bySeq.Add(1) <= 2:
				case strings.Contains(asked, "$KV.jobs_0.db.coll.a") && byKey.Add(1) <= 2:
				default:
					return nil
				}
				return &nats.Msg{Data: []byte(`{"error":{"code":404,"err_code":10037,"description":"no message found"}}`)}
			})
			f.Intercept(func(ctx context.Context, m *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
				if isWrite(m, jobWrites, job.Firing) && claims.Add(1) <= 2 {
					return nil, oldLeader
				}
				return send(ctx, m)
			})
			f.run()
			j := newJob("a", "r", time.Now())
			f.create(j)
			eventually(t, "the fire", func() bool { return len(f.messages("FIRES", "fires.>")) == 1 })
			if bySeq.Load() < 2 || byKey.Load() < 2 || claims.Load() < 3 {
				t.Errorf("%d reads by sequence, %d by key, %d claims: the leader was not asked while it was behind",
					bySeq.Load(), byKey.Load(), claims.Load())
			}
		})
	}
}

// Such a leader refuses a claim that the new leader stores. The claim is not given up
// because no leader can be asked for a moment.
func TestRefusedClaimThatCannotBeRead(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.AsReplicated()
	f.route("r", job.NATS)
	refused := f.loseAnswer(jobWrites, job.Firing, true, oldLeader)
	var unread atomic.Int64
	f.InterceptReads(func(m *nats.Msg) *nats.Msg {
		if !refused.Load() || !strings.Contains(string(m.Data), "$KV.jobs_0.db.coll.a") || unread.Add(1) > 2 {
			return nil
		}
		return &nats.Msg{Data: []byte(`{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`)}
	})
	f.run()
	j := newJob("a", "r", time.Now())
	f.create(j)
	eventually(t, "the fire", func() bool { return f.hasSubjects("FIRES", "fires.>", 1) })
	if unread.Load() < 2 {
		t.Errorf("%d reads failed, want 2", unread.Load())
	}
	f.reaches(j.Key, job.Published)
	if got := f.messages("FIRES", "fires.>"); len(got) != 1 {
		t.Errorf("%d fires, want 1", len(got))
	}
}

// A server that slept still takes itself for the leader when it wakes up, and may answer
// before the real leader.
func TestNotFoundIsAskedAgain(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.route("r", job.NATS)
	j := newJob("a", "r", farOff)
	f.create(j)
	var jobs, routes atomic.Int64
	f.InterceptReads(func(m *nats.Msg) *nats.Msg {
		asked := func(subject string) bool { return strings.Contains(string(m.Data), subject) }
		if !(asked("$KV.jobs_0.db.coll.a") && jobs.Add(1) == 1) && !(asked("$KV.routes.db.r\"") && routes.Add(1) == 1) {
			return nil
		}
		return &nats.Msg{Data: []byte(`{"error":{"code":404,"err_code":10037,"description":"no message found"}}`)}
	})
	if r, err := f.Jobs().Get(t.Context(), j.Key); err != nil || r.Status != job.Scheduled {
		t.Errorf("get: %+v, %v; want the job", r, err)
	}
	if _, err := f.Jobs().Get(t.Context(), newJob("b", "r", farOff).Key); !errors.Is(err, job.ErrJobNotFound) {
		t.Errorf("get of an unknown job: %v, want ErrJobNotFound", err)
	}
	if _, err := f.Routes().Get(t.Context(), j.RouteKey()); err != nil || routes.Load() != 2 {
		t.Errorf("get of the route: %v, asked %d times; want it, asked twice", err, routes.Load())
	}
	if _, err := f.Routes().Get(t.Context(), job.RouteKey{DB: "db", ID: "unknown"}); !errors.Is(err, job.ErrRouteNotFound) {
		t.Errorf("get of an unknown route: %v, want ErrRouteNotFound", err)
	}
}

// One answer of a server that has just woken up does not make the timer read the whole
// bucket again.
func TestStaleStateIsNotBelieved(t *testing.T) {
	t.Parallel()
	var log logtest.Log
	f := open(t, streams.Config{Log: log.Logger()})
	f.route("r", job.NATS)
	f.run()
	for i := range 3 {
		j := newJob(fmt.Sprint(i), "r", time.Now())
		f.create(j)
		f.reaches(j.Key, job.Published)
	}
	s, err := f.js.Stream(t.Context(), "KV_jobs_0")
	if err != nil {
		t.Fatal(err)
	}
	info := s.CachedInfo()
	for _, last := range []uint64{info.State.LastSeq, info.State.LastSeq, 1, info.State.LastSeq, info.State.LastSeq} {
		f.HearState(info.Created, last)
	}
	if strings.Contains(log.String(), "was replaced") {
		t.Errorf("one stale answer was believed:\n%s", log.String())
	}
	// Two in a row do.
	eventually(t, "the bucket is read anew", func() bool {
		f.HearState(info.Created, 1)
		f.HearState(info.Created, 1)
		return strings.Contains(log.String(), "was replaced")
	})
}

func TestMostInTouch(t *testing.T) {
	peer := func(active time.Duration, offline bool) *jetstream.PeerInfo {
		return &jetstream.PeerInfo{Active: active, Offline: offline}
	}
	for _, c := range []struct {
		name  string
		group *jetstream.ClusterInfo
		want  bool
	}{
		{"one server", nil, true},
		{"one replica", &jetstream.ClusterInfo{}, true},
		{"all there", &jetstream.ClusterInfo{Replicas: []*jetstream.PeerInfo{peer(0, false), peer(time.Second, false)}}, true},
		{"one of three away", &jetstream.ClusterInfo{Replicas: []*jetstream.PeerInfo{peer(0, false), peer(time.Minute, false)}}, true},
		{"both others silent", &jetstream.ClusterInfo{Replicas: []*jetstream.PeerInfo{peer(3*time.Second, false), peer(2*time.Second, false)}}, false},
		{"both others offline", &jetstream.ClusterInfo{Replicas: []*jetstream.PeerInfo{peer(0, true), peer(0, true)}}, false},
		{"half of four", &jetstream.ClusterInfo{Replicas: []*jetstream.PeerInfo{peer(0, false), peer(time.Minute, false), peer(time.Minute, false)}}, false},
	} {
		if got := journal.HasQuorum(c.group); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
