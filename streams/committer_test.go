package streams_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"belfry/internal/job"
	"belfry/streams"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// Each of many concurrent writes gets its own answer, even if it shares a batch with one
// that is refused.
func TestGroupedWritesGetTheirOwnAnswers(t *testing.T) {
	f := open(t, streams.Config{SyncAlways: true})
	f.route("r", job.NATS)
	const n = 500
	later := time.Now().Add(time.Hour)
	for i := 0; i < n; i += 10 {
		f.create(newJob(fmt.Sprint(i), "r", later)) // conflicts with every tenth
	}
	var g errgroup.Group
	for i := range n {
		g.Go(func() error {
			err := f.Jobs().Create(t.Context(), newJob(fmt.Sprint(i), "r", later.Add(time.Minute)))
			switch taken := i%10 == 0; {
			case taken && !errors.Is(err, job.ErrJobExists):
				return fmt.Errorf("create of the taken id %d: %v, want ErrJobExists", i, err)
			case !taken && err != nil:
				return fmt.Errorf("create of %d: %v", i, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	// When many writes race for one job, exactly one wins each round.
	const racers = 24
	k := newJob("1", "r", later).Key
	for range 2 {
		won := make(chan string, racers)
		var g errgroup.Group
		for i := range racers {
			g.Go(func() error {
				j := newJob("1", "r", later)
				j.Meta = fmt.Appendf(nil, "%d", i)
				err := f.Jobs().Update(t.Context(), j, 0)
				if err == nil {
					won <- string(j.Meta)
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		close(won)
		metas := map[string]bool{}
		for m := range won {
			metas[m] = true
		}
		if got := f.get(k); !metas[string(got.Meta)] || len(metas) != racers {
			t.Errorf("the job has meta %s after %d updates that were answered 200", got.Meta, len(metas))
		}
	}
}

// The revisions that are computed from a batch's answer are the revisions of its members.
func TestGroupedWritesKnowTheirRevisions(t *testing.T) {
	f := open(t, streams.Config{SyncAlways: true})
	f.route("r", job.NATS)
	f.run()
	const n = 400
	var g errgroup.Group
	due := time.Now().Add(200 * time.Millisecond)
	for i := range n {
		g.Go(func() error { return f.Jobs().Create(t.Context(), newJob(fmt.Sprint(i), "r", due)) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		f.reaches(newJob(fmt.Sprint(i), "r", due).Key, job.Published)
	}
	// A fire carries its claim's revision, and the final state names what it replaced. If
	// one of them were wrong, the finish would have failed.
	for _, m := range f.messages("FIRES", "fires.>") {
		fire, err := wire.DecodeFire(m.Headers(), m.Data(), 1, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if r := f.get(fire.Key); r.Replaces.Seq != fire.Claim {
			t.Errorf("job %s: the fire says claim %d, the final state replaced %d", fire.Key.ID, fire.Claim, r.Replaces.Seq)
		}
	}
}

// A caller that gives up while it waits gets no success, and the others do.
func TestGroupedWriteGivenUp(t *testing.T) {
	f := open(t, streams.Config{SyncAlways: true})
	f.route("r", job.NATS)
	later := time.Now().Add(time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var g errgroup.Group
	for i := range 200 {
		g.Go(func() error {
			if i%4 == 0 {
				if err := f.Jobs().Create(ctx, newJob(fmt.Sprint("given-up", i), "r", later)); err == nil {
					return errors.New("a create under an ended context succeeded")
				}
				return nil
			}
			return f.Jobs().Create(t.Context(), newJob(fmt.Sprint(i), "r", later))
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// A write that one server of several refuses may be stored by another. So the committer
// sends no member of a refused batch again. When the callers do so, a write that spoils
// each batch ends up alone.
func TestRefusedBatchOfReplicas(t *testing.T) {
	f := open(t, streams.Config{})
	fence, err := f.js.Publish(t.Context(), "fence.9", nil)
	if err != nil {
		t.Fatal(err)
	}
	requester, err := journal.NewRequester(f.nc, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := journal.NewCommitter(f.js, requester, nil, true)
	type answer struct {
		id  int
		err error
	}
	const n, spoiler = 40, 17
	answers := make(chan answer, n)
	submit := func(id int) {
		m := nats.NewMsg(fmt.Sprintf("fires.db.%d", id))
		m.Header.Set(jetstream.ExpectedLastSubjSeqSubjHeader, "fence.9")
		m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, fmt.Sprint(fence.Sequence))
		if id == spoiler {
			m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, fmt.Sprint(fence.Sequence+1))
		}
		c.Submit(m, func(_ uint64, err error) { answers <- answer{id, err} })
	}
	left := make([]int, n)
	for i := range left {
		left[i] = i
	}
	for round := 0; len(left) > 1; round++ {
		if round == 10 {
			t.Fatalf("after %d rounds %d of %d are not written", round, len(left), n)
		}
		stored := len(f.messages("FIRES", "fires.>"))
		for _, id := range left {
			submit(id)
		}
		var refused []int
		for range left {
			var is *jetstream.APIError
			switch a := <-answers; {
			case errors.As(a.err, &is):
				refused = append(refused, a.id)
			case a.err != nil:
				t.Fatalf("write %d: %v, want written or refused", a.id, a.err)
			}
		}
		if got, want := len(f.messages("FIRES", "fires.>")), stored+len(left)-len(refused); got != want {
			t.Fatalf("FIRES holds %d, want the %d that were answered so", got, want)
		}
		left = refused
	}
	if len(left) != 1 || left[0] != spoiler {
		t.Errorf("left are %v, want [%d]", left, spoiler)
	}
}
