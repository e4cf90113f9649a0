package timer

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"belfry/internal/job"
	"belfry/streams/due"
	"belfry/streams/journal"
)

// These are the limits of the finisher.
const (
	// finishAfter is how long a published fire waits to be finished together with others.
	// Once finishFrom fires wait, they wait no longer.
	finishAfter = 100 * time.Millisecond
	finishFrom  = 500
	// maxFinishing is how many ends are written at once.
	maxFinishing = 1024
	// maxUnfinished and due.MaxUnfinishedBytes bound the published fires that wait while
	// other jobs are due. Large ones do not wait.
	maxUnfinished = 128 << 10
)

// finisher holds the claims of published NATS fires. Their subscribers have them, so the
// final states are written lazily: several together, which saves syncs, and not while due
// jobs wait for the same server. The next owner writes the final states that a crash
// prevented. It is safe for concurrent use.
type finisher struct {
	mu      sync.Mutex // guards what follows
	queue   []job.Record
	bytes   int       // of the records in the queue, roughly
	since   time.Time // when the first of them arrived
	writing int
	most    int // how many bytes may wait; 0 is due.MaxUnfinishedBytes
}

func (f *finisher) add(claim job.Record, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) == 0 {
		f.since = now
	}
	f.queue = append(f.queue, claim)
	f.bytes += claim.Size()
}

// take returns the claims to finish now; the caller calls done for each. busy says that
// jobs are being fired, and hurry that nothing may be left.
func (f *finisher) take(now time.Time, busy, hurry bool) []job.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	full := len(f.queue) >= maxUnfinished || f.bytes >= cmp.Or(f.most, due.MaxUnfinishedBytes)
	ripe := len(f.queue) >= finishFrom || now.Sub(f.since) >= finishAfter
	if !hurry && !full && (busy || !ripe) {
		return nil
	}
	n := max(min(len(f.queue), maxFinishing-f.writing), 0)
	claims := slices.Clone(f.queue[:n])
	clear(f.queue[:n]) // otherwise their metas stay in memory until the queue moves
	f.queue = f.queue[n:]
	for _, c := range claims {
		f.bytes -= c.Size()
	}
	f.writing += n
	return claims
}

// next returns when take will return claims by itself; zero means not before something
// else happens.
func (f *finisher) next() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) == 0 || f.writing >= maxFinishing {
		return time.Time{}
	}
	return f.since.Add(finishAfter)
}

// began counts a claim that was not taken from the queue, so that done may be called for
// it.
func (f *finisher) began() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writing++
}

func (f *finisher) done() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writing--
}

// idle reports whether nothing is left to finish.
func (f *finisher) idle() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.queue) == 0 && f.writing == 0
}

// finishSoon queues the end of a published fire to be written. The end of a fire that
// holds room is written at once, since others wait for the room.
func (t *Timer) finishSoon(claim job.Record) {
	if t.inFlight.Cost(len(claim.Meta)) > 0 {
		t.finisher.began()
		t.begin(t.finish(claim))
		return
	}
	t.finisher.add(claim, t.now())
}

// finish is the step that writes the end of a published fire.
func (t *Timer) finish(claim job.Record) step {
	p := t.jobs.NewWrite(claim.Finish(job.Result{Status: job.Published}, t.now()), claim.Revision)
	ended := func() {
		t.inFlight.Give(claim)
		t.finisher.done()
		t.Wake()
	}
	return step{p.Msg, func(uint64) { ended() }, func(ctx context.Context, seq uint64, err error) {
		defer ended()
		if _, err := p.Conclude(ctx, seq, err); err != nil && !errors.Is(err, job.ErrMoved) {
			t.finishNow(ctx, claim, job.Result{Status: job.Published})
		}
	}}
}

// finishNow writes the end of a claim. It retries until the end is written, by us or by
// somebody else.
func (t *Timer) finishNow(ctx context.Context, claim job.Record, res job.Result) {
	pause := journal.NewBackOff(50*time.Millisecond, 5*time.Second)
	for {
		_, err := t.jobs.Write(ctx, claim.Finish(res, t.now()), claim.Revision)
		if err == nil || errors.Is(err, job.ErrMoved) {
			return
		}
		t.complain("couldn't finish a fire yet", "db", claim.DB, "collection", claim.Collection, "job", claim.ID, "error", err)
		if !journal.Sleep(ctx, pause.NextBackOff()) {
			return
		}
	}
}
