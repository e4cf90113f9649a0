package streams_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/waittest"
	"belfry/streams"
)

// The tests of this file are the rows of the crash table in docs/design.md, by their
// numbers. Each produces the state that a crash leaves, then starts again and checks the
// outcome.

// Rows 0 to 3: the timer's writes for a fire.
func TestCrashWhileFiring(t *testing.T) {
	for _, tt := range []struct {
		row    string
		prefix string
		status job.Status
		after  bool
		types  []job.RouteType
	}{
		{"0 before the claim", jobWrites, job.Firing, false, []job.RouteType{job.REST, job.NATS}},
		{"1 after the claim", jobWrites, job.Firing, true, []job.RouteType{job.REST, job.NATS}},
		{"1 before the publish", fireWrites, "", false, []job.RouteType{job.REST, job.NATS}},
		{"2 after the publish", fireWrites, "", true, []job.RouteType{job.REST, job.NATS}},
		{"2 before the final state of a NATS fire", jobWrites, job.Published, false, []job.RouteType{job.NATS}},
		{"3 after the final state of a NATS fire", jobWrites, job.Published, true, []job.RouteType{job.NATS}},
	} {
		for _, typ := range tt.types {
			t.Run(fmt.Sprintf("%s/%s", tt.row, typ), func(t *testing.T) {
				t.Parallel()
				f := open(t, streams.Config{OnlyNode: true})
				f.route("r", typ)
				j := newJob("a", "r", time.Now())
				f.create(j)
				f.crashAt(tt.prefix, tt.status, tt.after)

				f.reopen(streams.Config{OnlyNode: true})
				f.run()
				if typ == job.NATS {
					f.reaches(j.Key, job.Published)
				} else {
					h := f.fetch("r")
					if st, _, err := f.Jobs().Standing(t.Context(), h.Fire); err != nil || st != job.Valid {
						t.Errorf("the fire's standing: %v, %v; want valid", st, err)
					}
					if err := f.Jobs().Finish(t.Context(), h.Fire, job.Result{Status: job.Delivered}); err != nil {
						t.Error(err)
					}
					f.reaches(j.Key, job.Delivered)
				}
				if got := f.messages("FIRES", "fires.>"); len(got) != 1 {
					t.Errorf("%d fires in FIRES, want 1", len(got))
				}
				if r := f.get(j.Key); r.Attempt != 1 {
					t.Errorf("attempt %d, want 1", r.Attempt)
				}
			})
		}
	}
}

// A job of a NATS route that is too late expires, wherever the crash is.
func TestCrashWhileExpiring(t *testing.T) {
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after=%v", after), func(t *testing.T) {
			t.Parallel()
			f := open(t, streams.Config{OnlyNode: true})
			r := f.route("r", job.NATS)
			r.MaxLateness = time.Second
			if err := f.Routes().Replace(t.Context(), r, 0); err != nil {
				t.Fatal(err)
			}
			j := newJob("a", "r", time.Now().Add(-time.Minute))
			f.create(j)
			f.crashAt(jobWrites, job.Expired, after)

			f.reopen(streams.Config{OnlyNode: true})
			f.run()
			f.reaches(j.Key, job.Expired)
			if got := f.messages("FIRES", "fires.>"); len(got) != 0 {
				t.Errorf("%d fires in FIRES, want none", len(got))
			}
		})
	}
}

// Row 5: a worker took the fire, perhaps posted it, and died. The fire is redelivered at
// once after a restart, and is still valid.
func TestCrashWhileDelivering(t *testing.T) {
	f := open(t, streams.Config{OnlyNode: true})
	f.route("r", job.REST)
	j := newJob("a", "r", time.Now())
	f.create(j)
	stop := f.run()
	first := f.fetch("r")
	stop()

	f.reopen(streams.Config{OnlyNode: true})
	f.run()
	start := time.Now()
	again := f.fetch("r")
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the fire came again after %v, want at once", took)
	}
	if again.FireID != first.FireID || again.Claim != first.Claim {
		t.Errorf("came again as %q for claim %d, want %q and %d", again.FireID, again.Claim, first.FireID, first.Claim)
	}
	if st, _, err := f.Jobs().Standing(t.Context(), again.Fire); err != nil || st != job.Valid {
		t.Errorf("its standing: %v, %v; want valid", st, err)
	}
}

// Rows 6 to 8: a worker's final state, its dead letter, its ack.
func TestCrashAfterFinal(t *testing.T) {
	f := open(t, streams.Config{OnlyNode: true})
	f.route("r", job.REST)
	f.run()
	dead := job.Result{Status: job.Dead, Reason: job.ReasonGone, Detail: "status 410"}

	t.Run("6 after delivered, before the ack", func(t *testing.T) {
		j := newJob("delivered", "r", time.Now())
		f.create(j)
		h := f.fetch("r")
		if err := f.Jobs().Finish(t.Context(), h.Fire, job.Result{Status: job.Delivered}); err != nil {
			t.Fatal(err)
		}
		h.Times++ // as in a redelivery
		if st, _, err := f.Jobs().Standing(t.Context(), h.Fire); err != nil || st != job.Superseded {
			t.Errorf("the standing of the fire that comes again: %v, %v; want superseded", st, err)
		}
		if err := h.Ack(); err != nil {
			t.Error(err)
		}
	})
	t.Run("7 after dead, before the dead letter", func(t *testing.T) {
		j := newJob("dead", "r", time.Now())
		f.create(j)
		h := f.fetch("r")
		accept := f.refuse(deadWrites)
		if err := f.Jobs().Finish(t.Context(), h.Fire, dead); !errors.Is(err, job.ErrUnavailable) {
			t.Fatalf("finish without the dead letter: %v, want ErrUnavailable", err)
		}
		accept()
		h.Times++
		st, r, err := f.Jobs().Standing(t.Context(), h.Fire)
		if err != nil || st != job.Buried || r.Reason != dead.Reason || r.Detail != dead.Detail {
			t.Errorf("the standing of the fire that comes again: %v, %q, %q, %v; want buried with the reason", st, r.Reason, r.Detail, err)
		}
		// Finishing again writes the missing letter, too.
		if err := f.Jobs().Finish(t.Context(), h.Fire, dead); err != nil {
			t.Error(err)
		}
		letters := f.messages("DEAD", "dead.>")
		if len(letters) != 1 || letters[0].Headers().Get("Belfry-Reason") != string(dead.Reason) {
			t.Errorf("%d dead letters, want one with the reason", len(letters))
		}
		t.Run("8 after the dead letter, before the ack", func(t *testing.T) {
			if err := f.Jobs().Bury(t.Context(), h.Fire, dead); err != nil {
				t.Error(err)
			}
			if got := f.messages("DEAD", "dead.>"); len(got) != 1 {
				t.Errorf("%d dead letters after burying again at once, want 1", len(got))
			}
		})
	})
}

// Rows 9 and 10: a job that comes due without its route.
func TestCrashWithoutRoute(t *testing.T) {
	for _, tt := range []struct {
		row    string
		prefix string
		status job.Status
		after  bool
	}{
		{"9 before the dead letter", deadWrites, "", false},
		{"10 after the dead letter", deadWrites, "", true},
		{"10 before the final state", jobWrites, job.Dead, false},
	} {
		t.Run(tt.row, func(t *testing.T) {
			t.Parallel()
			f := open(t, streams.Config{})
			r := f.route("r", job.REST)
			j := newJob("a", "r", time.Now().Add(50*time.Millisecond))
			f.create(j)
			if err := f.Routes().Delete(t.Context(), r.RouteKey, 0); err != nil {
				t.Fatal(err)
			}
			f.crashAt(tt.prefix, tt.status, tt.after)
			f.reopen(streams.Config{})
			f.run()
			if got := f.reaches(j.Key, job.Dead); got.Reason != job.ReasonNoRoute {
				t.Errorf("died of %q, want %q", got.Reason, job.ReasonNoRoute)
			}
			if got := f.messages("DEAD", "dead.>"); len(got) != 1 || string(got[0].Data()) != string(j.Meta) {
				t.Errorf("%d dead letters, want 1 with the meta", len(got))
			}
			if got := f.messages("FIRES", "fires.>"); len(got) != 0 {
				t.Errorf("%d fires, want none", len(got))
			}
		})
	}
}

// Rows 11 and 12: a route's inbox is made before the route and outlives it.
func TestCrashBetweenRouteAndInbox(t *testing.T) {
	f := open(t, streams.Config{})
	f.refuse(routeWrites + "db.unmade")
	if err := f.Routes().Create(t.Context(), job.Route{RouteKey: job.RouteKey{DB: "db", ID: "unmade"}, Type: job.NATS}); !errors.Is(err, job.ErrUnavailable) {
		t.Fatalf("create: %v, want ErrUnavailable", err)
	}
	f.route("kept", job.REST)
	deleted := f.route("deleted", job.REST)
	if err := f.Routes().Delete(t.Context(), deleted.RouteKey, 0); err != nil {
		t.Fatal(err)
	}

	f.reopen(streams.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), waittest.Patience)
	defer cancel()
	orphaned := map[string]bool{}
	err := f.Inboxes().Follow(ctx, func(box job.Inbox) {
		orphaned[box.ID] = box.Orphaned
		if len(orphaned) == 3 {
			cancel()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"unmade": true, "kept": false, "deleted": true} {
		if got, visited := orphaned[id]; !visited || got != want {
			t.Errorf("inbox %q visited %v, orphaned %v; want orphaned %v", id, visited, got, want)
		}
	}
	for _, id := range []string{"unmade", "kept", "deleted"} {
		if err := f.Inboxes().Remove(t.Context(), job.RouteKey{DB: "db", ID: id}); err != nil {
			t.Error(err)
		}
		_, err := f.js.Consumer(t.Context(), "FIRES", "db_"+id)
		if gone := errors.Is(err, jetstream.ErrConsumerNotFound); gone != orphaned[id] {
			t.Errorf("after Remove the inbox of %q is gone: %v, want %v", id, gone, orphaned[id])
		}
	}
}

// Rows 13 and 14: answers to the timer's own writes are lost while the timer lives. It
// takes a new fence, and looks.
//
// An old leader that wakes up, or was cut off, gets the same writes as the new one, and
// refuses them by what it last knew before the new one has stored them.
func TestLostAnswersOfTheTimer(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prefix  string
		status  job.Status
		applied bool
		answer  error
	}{
		{"claim applied", jobWrites, job.Firing, true, noAnswer},
		{"claim not applied", jobWrites, job.Firing, false, noAnswer},
		{"claim applied, refused by an old leader", jobWrites, job.Firing, true, oldLeader},
		{"fire applied", fireWrites, "", true, noAnswer},
		{"fire not applied", fireWrites, "", false, noAnswer},
		{"fire applied, refused by an old leader", fireWrites, "", true, oldLeader},
		{"fire applied, not taken by an old leader", fireWrites, "", true, stalled},
		{"fire not applied, refused by an old leader", fireWrites, "", false, oldLeader},
		{"final applied", jobWrites, job.Published, true, noAnswer},
		{"final not applied", jobWrites, job.Published, false, noAnswer},
		{"final applied, refused by an old leader", jobWrites, job.Published, true, oldLeader},
		{"fence applied", "fence.", "", true, noAnswer},
		{"fence not applied", "fence.", "", false, noAnswer},
		{"fence applied, refused by an old leader", "fence.", "", true, oldLeader},
		{"mark applied", "$KV.jobs_0.epoch", "", true, noAnswer},
		{"mark not applied", "$KV.jobs_0.epoch", "", false, noAnswer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := open(t, streams.Config{})
			f.AsReplicated()
			f.route("r", job.NATS)
			keys := make([]job.Key, 20)
			for i := range keys {
				j := newJob(fmt.Sprint(i), "r", time.Now())
				keys[i] = j.Key
				f.create(j)
			}
			lost := f.loseAnswer(tt.prefix, tt.status, tt.applied, tt.answer)
			f.run()
			for _, k := range keys {
				f.reaches(k, job.Published)
			}
			if got := f.messages("FIRES", "fires.>"); len(got) != len(keys) {
				t.Errorf("%d fires for %d jobs", len(got), len(keys))
			}
			if !lost.Load() {
				t.Error("no answer was lost")
			}
		})
	}
}

// Row 15: an owner that was replaced while it slept is refused, whenever it
// wakes, and stops.
func TestDeposedOwnerIsRefused(t *testing.T) {
	f := open(t, streams.Config{OnlyNode: true})
	f.route("r", job.NATS)
	old := f.Store
	asleep, wake, woken := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	old.Intercept(func(ctx context.Context, m *nats.Msg, send streams.PublishFunc) (*jetstream.PubAck, error) {
		if !isWrite(m, fireWrites, "") {
			return send(ctx, m)
		}
		close(asleep)
		<-wake
		ack, err := send(context.WithoutCancel(ctx), m)
		woken <- err
		return ack, err
	})
	f.run()
	j := newJob("a", "r", time.Now())
	f.create(j)
	<-asleep

	f.reopen(streams.Config{OnlyNode: true})
	f.run()
	f.reaches(j.Key, job.Published)
	close(wake)
	var refused *jetstream.APIError
	if err := <-woken; !errors.As(err, &refused) || refused.ErrorCode != jetstream.JSErrCodeStreamWrongLastSequence {
		t.Errorf("the late publish was answered %v, want wrong last sequence", err)
	}
	eventually(t, "the old owner has stopped", func() bool { return !old.Owns() })
	if got := f.messages("FIRES", "fires.>"); len(got) != 1 {
		t.Errorf("%d fires, want 1", len(got))
	}
	// The new owner goes on.
	next := newJob("b", "r", time.Now())
	f.create(next)
	f.reaches(next.Key, job.Published)
}

// Row 16: an advisory about a fire that its subscriber refused is handled again after it
// is redelivered, half a minute later.
func TestCrashWhileBurying(t *testing.T) {
	for _, tt := range []struct {
		row     string
		after   bool
		letters uint64 // how many the crash leaves
	}{
		{"16 before the dead letter", false, 0},
		{"16 after the dead letter, before the ack", true, 1},
	} {
		t.Run(tt.row, func(t *testing.T) {
			t.Parallel()
			f := open(t, streams.Config{OnlyNode: true})
			f.route("r", job.NATS)
			stop := f.run()
			f.create(newJob("a", "r", time.Now()))
			fire := f.subscriber("r")()
			stop()
			if err := fire.Term(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the advisory is kept", func() bool { return f.count("ADVISORIES") == 1 })
			f.reopen(streams.Config{OnlyNode: true})
			f.crashAt(deadWrites, "", tt.after)
			acked := func() bool {
				c, err := f.js.Consumer(t.Context(), "ADVISORIES", "bury")
				return err == nil && c.CachedInfo().AckFloor.Stream == 1
			}
			if letters := f.count("DEAD"); letters != tt.letters || acked() {
				t.Errorf("the crash leaves %d letters and an advisory that is acked: %v; want %d and one that is not", letters, acked(), tt.letters)
			}

			f.reopen(streams.Config{OnlyNode: true})
			f.run()
			eventually(t, "the advisory is acked", acked)
			if got := f.died("r", 1); len(got) != 1 || got["a"] != job.ReasonTerminated {
				t.Errorf("died of %v, want that the one job was refused", got)
			}
			if got := f.count("DEAD"); got != 1 {
				t.Errorf("%d dead letters, want 1", got)
			}
		})
	}
}
