package delivery

import (
	"context"
	"math/rand/v2"
	"time"

	"belfry/internal/job"
)

const (
	// A try that this machine could not make waits this long for its next go. The wait
	// doubles each time, plus up to half as much again.
	minPutOff = 2 * time.Second
	maxPutOff = 20 * time.Second

	// lookEvery is how often a waiting fire looks at its route.
	lookEvery = 2 * time.Second

	// putBackAfter is the longest wait here before the next go is put back, so that
	// another node may get it. The longest try holds its room as long.
	putBackAfter = job.MaxTimeout
)

// putOffs is how a fire waits whose try this machine could not make. The fire is held
// and keeps its slot, so that a backlog does not spin. Nothing is written, since a
// claim and a fire for each go would fill the disk.
type putOffs struct {
	since time.Time // the first time; zero if never put off
	base  time.Duration
}

func (p *putOffs) waited() bool { return !p.since.IsZero() }

// judged returns the fire as the store is asked about it. Others may have had it while
// it waited, so after a wait it counts as handed out again.
func (p *putOffs) judged(f job.Fire) job.Fire {
	if p.waited() {
		f.Times++
	}
	return f
}

// next returns how long to wait, and whether the fire is put back then. A fire of a
// route with a rate limit is put back: its next go needs a permit of its own, and that
// also bounds the writes.
func (p *putOffs) next(r job.Route) (wait time.Duration, back bool) {
	if !p.waited() {
		p.since = time.Now()
	}
	p.base = min(max(2*p.base, minPutOff), maxPutOff)
	limited := r.RateLimit != job.RateLimit{}
	if limited {
		p.base = maxPutOff
	}
	wait = p.base + rand.N(p.base/2)
	return wait, limited || time.Since(p.since)+wait > putBackAfter
}

// putOff makes a fire wait whose try this machine could not make, until the next go or
// until its result is settled. A shutdown leaves it to be handed out again.
func (w *worker) putOff(h job.Handover, rec job.Record, b *breaker, p *putOffs, r job.Route, cause string) (again bool) {
	w.shortage.putOff(w.Log, cause, w.Now())
	w.webhook.lanes.relieve()
	wait, back := p.next(r)
	for end := time.Now().Add(wait); ; {
		pause(w.stopping, min(time.Until(end), lookEvery))
		if w.stopping.Err() != nil {
			w.interrupted(h)
			return false
		}
		if !time.Now().Before(end) {
			break
		}
		if !w.look(h, rec, b, p) {
			return false
		}
	}
	if back {
		w.settle(h, putBack(h, rec))
	}
	return !back
}

// look reports whether a waiting fire may still have a try.
func (w *worker) look(h job.Handover, rec job.Record, b *breaker, p *putOffs) bool {
	ctx, cancel := context.WithTimeout(w.tries, lookupTime)
	defer cancel()
	_, ok := w.opening(ctx, h, rec, b, p)
	return ok
}
