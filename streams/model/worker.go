package model

import (
	"math"
	"time"

	"belfry/internal/job"
)

// handout is what the REST route's consumer knows about a fire. A fire is redelivered
// when its worker died or its ack was lost. It is not redelivered while a worker lives: a
// live worker extends the ack wait, and gives up before it ends.
type handout struct {
	fire   job.Fire
	holder *process
	times  int
	acked  bool
	gone   bool // it was purged
}

// post is one request to the receiver.
type post struct {
	fire    job.Fire
	holder  *process
	at      int64
	behind  uint64 // the last revision in the bucket at that time
	success bool
	open    bool // the worker does not know yet that the try is finished
	cut     bool // the worker died before the try was finished
}

func workerMain(p *process) {
	for {
		p.wait(func() bool { return p.w.nextHandout(0) != nil })
		// It is not always the oldest: a fire whose ack wait runs out comes late.
		h := p.w.nextHandout(p.w.rng.IntN(2))
		h.holder, h.times = p, h.times+1
		if work(p, h) {
			p.step()
			if h.acked = p.w.calm || p.w.rng.IntN(10) > 0; !h.acked {
				p.w.tally[lostAnswers]++
			}
		}
		h.holder = nil
	}
}

// nextHandout returns a fire to deliver, skipping up to skip of them.
func (w *world) nextHandout(skip int) (next *handout) {
	for _, h := range w.handouts {
		if h.holder == nil && !h.acked && !h.gone {
			next = h
			if skip--; skip < 0 {
				break
			}
		}
	}
	return next
}

// work handles a fire as the record says, and reports whether the fire may be acked.
func work(p *process, h *handout) bool {
	r := look(p, h)
	for {
		switch job.Judge(h.fire, r, r.Revision != 0) {
		case job.Undecided: // never by the leader, unless the model is wrong
			return false
		case job.Superseded:
			return true
		case job.Buried:
			p.step()
			p.w.dead[h.fire.FireID] = true
			return true
		}
		overdue := r.Due <= p.w.clock+margin
		if overdue && !p.w.rules.deliversOverdue {
			// The owner claims it anew, and two tries could overlap. It is not acked: a
			// late write of the worker before may still make the job dead.
			return false
		}
		var next job.Record
		if p.w.looksShut(r.Route) {
			next = putBack(p, h.fire, r)
			if h.acked = p.w.rules.acksFirst; h.acked {
				p.step()
			}
		} else {
			next = deliver(p, h.fire, r)
		}
		outcome, _ := p.write(next, math.MaxInt)
		p.w.closePosts(p)
		if outcome == applied && next.Status != job.Dead {
			return true
		}
		r = p.read(keyOf(r.Key)) // superseded now, or buried
	}
}

// look reads the record for a fire. A replica may lag, so it is trusted only if nothing
// can have happened after the fire's claim: the fire was never delivered before, and its
// claim does not count as lost yet.
func look(p *process, h *handout) job.Record {
	key := keyOf(h.fire.Key)
	p.step()
	if h.times == 1 || p.w.rules.trustsReplicas {
		r := p.w.jobs.get(key)
		if p.w.rng.IntN(3) == 0 {
			r = p.w.jobs.getStale(key, p.w.rng)
		}
		fresh := r.Due > p.w.clock+margin
		if job.Judge(h.fire, r, r.Revision != 0) == job.Valid && (fresh || p.w.rules.deliversOverdue) {
			return r
		}
	}
	return p.read(key)
}

// deliver posts the fire and returns the record that finishes the try.
func deliver(p *process, f job.Fire, r job.Record) job.Record {
	p.step()
	w := p.w
	post := &post{fire: f, holder: p, at: w.clock, behind: w.jobs.last(), success: w.rng.IntN(10) < 6, open: true}
	w.posts = append(w.posts, post)
	w.note("%s: post %s attempt %d fire %s claim %d: success %t", p.name, f.Key.ID, f.Attempt, f.FireID, f.Claim, post.success)
	res := job.Result{Status: job.Delivered}
	switch {
	case post.success:
	case f.Attempt < 3:
		res = job.Result{Status: job.Retrying, RetryAt: w.clock + 1 + w.rng.Int64N(8), Reason: job.ReasonFailed}
	default:
		res = job.Result{Status: job.Dead, Reason: job.ReasonExhausted}
	}
	next := r.Finish(res, time.UnixMilli(w.clock))
	next.Op = w.newID("op")
	return next
}

// closePosts records that p knows the result of its try.
func (w *world) closePosts(p *process) {
	for _, post := range w.posts {
		if post.holder == p {
			post.open = false
		}
	}
}

// release gives the fires of a crashed worker back to the consumer, and marks the posts
// that may be repeated because of it.
func (w *world) release(p *process) {
	for _, h := range w.handouts {
		if h.holder == p {
			h.holder = nil
		}
	}
	for _, post := range w.posts {
		if post.holder == p && post.open {
			key := keyOf(post.fire.Key)
			post.cut = w.jobs.get(key).Revision == post.fire.Claim
			post.open = false
		}
	}
}
