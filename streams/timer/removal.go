package timer

import (
	"context"
	"sync"

	"belfry/streams/journal"
)

// Removal says what was removed from FIRES: the messages before First and, if Look is
// set, perhaps others.
type Removal struct {
	First uint64
	Look  bool
}

// LookForFires makes the timer, if it fires, look for the fires of the standing claims
// and publish those again that are gone.
func (t *Timer) LookForFires(ctx context.Context, removed Removal) {
	if !t.Owns() {
		return
	}
	t.post(ctx, func(ctx context.Context) { t.searchFires(ctx, removed) })
}

// FencesBetween counts the fences that the timer has written after the sequence from in
// FIRES, up to to. It reports whether there may be more whose answers were lost.
func (t *Timer) FencesBetween(from, to uint64) (n int, lost bool) { return t.fences.between(from, to) }

// publishedFires holds the sequences in FIRES of the fires of REST routes, by the claim's
// revision. It is safe for concurrent use.
type publishedFires struct {
	mu  sync.Mutex // guards seq
	seq map[uint64]uint64
}

func (p *publishedFires) note(claim, seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seq == nil {
		p.seq = map[uint64]uint64{}
	}
	p.seq[claim] = seq
}

func (p *publishedFires) forget(claim uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.seq, claim)
}

// standing returns the fires of the standing claims, and drops all others that the tail
// has passed.
func (p *publishedFires) standing(stands func(claim uint64) bool, seen uint64) map[uint64]uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[uint64]uint64{}
	for claim, seq := range p.seq {
		switch {
		case stands(claim):
			all[claim] = seq
		case claim <= seen:
			delete(p.seq, claim)
		}
	}
	return all
}

// searchFires finds the claims whose fires are gone; it runs in the loop.
func (t *Timer) searchFires(ctx context.Context, g Removal) {
	if t.tenure.fence == 0 {
		return
	}
	all := t.fireSeqs.standing(t.queue.Stands, t.seen)
	var lost []uint64
	for claim, seq := range all {
		if seq < g.First {
			lost = append(lost, claim)
			delete(all, claim)
		}
	}
	if len(lost) > 0 {
		t.fireAgain(ctx, lost)
		return // the routine looks at all others, too
	}
	if !g.Look && !t.lookAgain || len(all) == 0 {
		return
	}
	t.lookAgain = false
	ten := t.tenure
	t.start(func(ctx context.Context) {
		var missing []uint64
		failed := false
		for claim, seq := range all {
			is, err := t.stands(ctx, seq)
			failed = failed || err != nil
			if err == nil && !is {
				missing = append(missing, claim)
			}
		}
		t.post(ctx, func(ctx context.Context) {
			t.lookAgain = t.lookAgain || failed
			if t.tenure == ten && len(missing) > 0 {
				t.fireAgain(ctx, missing)
			}
		})
	})
}

// stands reports whether a message is in FIRES. Only the leader can say that it is not,
// and only if the leader has a later message, or our fence before it.
func (t *Timer) stands(ctx context.Context, seq uint64) (bool, error) {
	if _, found, err := t.w.SeqOnReplica(ctx, t.w.Names.FiresStream(), seq); err == nil && found {
		return true, nil
	}
	_, found, err := t.w.SeqOnLeader(ctx, t.w.Names.FiresStream(), seq)
	if err != nil || found {
		return found, err
	}
	return false, journal.ConfirmLeader(ctx, t.js, t.w.Names.FiresStream())
}

// fireAgain has the routine for doubt publish the fires of claims again.
func (t *Timer) fireAgain(ctx context.Context, claims []uint64) {
	for _, claim := range claims {
		t.fireSeqs.forget(claim)
	}
	t.log.Warn("fires were removed from FIRES before they were delivered; their jobs are fired again", "partition", t.partition, "fires", len(claims))
	t.meter.FiredAgain(len(claims))
	t.doubt(ctx, "fires were removed")
}
