package delivery

import (
	"context"
	"math/rand/v2"
	"time"

	"belfry/internal/job"
)

const (
	// A try that this machine could not make waits so long for its next go, twice as
	// long each time, and up to half as long again.
	minPutOff = 2 * time.Second
	maxPutOff = 20 * time.Second

	// lookEvery is how often what waits looks at its route meanwhile.
	lookEvery = 2 * time.Second

	// putBackAfter is how long a fire waits here until its next go is to be put back,
	// so that another node may get it. The longest try holds its room as long.
	putBackAfter = job.MaxTimeout
)

// putOffs is how a try of one fire waits that this machine could not make. It waits
// where it is: its fire is held and keeps its slot, so that a backlog does not spin,
// and nothing is written, since a claim and a fire for each go would fill the disk.
type putOffs struct {
	since time.Time // the first time; zero is none
	base  time.Duration
}

func (p *putOffs) waited() bool { return !p.since.IsZero() }

// judged returns the fire as its standing is asked for. While it waits others may
// have had it, so then it counts as handed out again.
func (p *putOffs) judged(f job.Fire) job.Fire {
	if p.waited() {
		f.Times++
	}
	return f
}

// next returns how long to wait, and whether the fire is put back then. One of a
// route with a rate limit is: its next go needs a permit of its own, which bounds
// what is written, too.
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

// putOff has a fire wait whose try this machine could not make, until there is to be
// another go, or its result is settled. A shutdown leaves it to be handed out again.
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

// look reports whether a fire that waits may still have a try.
func (w *worker) look(h job.Handover, rec job.Record, b *breaker, p *putOffs) bool {
	ctx, cancel := context.WithTimeout(w.tries, lookupTime)
	defer cancel()
	_, ok := w.opening(ctx, h, rec, b, p)
	return ok
}
