package model

import (
	"time"

	"belfry/internal/job"
)

// These are the two routes of a schedule, one of each type.
const (
	restRoute = "rest"
	natsRoute = "nats"
)

// verb is the request of a client.
type verb string

const (
	create verb = "create"
	change verb = "PUT"
	cancel verb = "DELETE"
)

// answer is what a client was told. A client that got nothing certain (503) records no
// answer.
type answer struct {
	verb verb
	told told
	op   string // of a write that the client knows was applied or lost
	arm  string // the fire id that the answer is about
}

type told string

const (
	done    told = "done"     // 200
	exists  told = "exists"   // 200 to a repeated create: arm stands
	tooLate told = "too late" // 400: arm has begun to fire, or is over
	notYet  told = "not yet"  // no answer: the write was lost, and is decided anew
)

// clientMain sends a few requests about the schedule's jobs.
func clientMain(p *process) {
	c := client{p}
	for range 2 + p.w.rng.IntN(3) {
		key := p.w.rng.IntN(p.w.keys)
		switch p.w.rng.IntN(5) {
		case 0, 1, 2:
			c.create(c.content(key))
		case 3:
			c.change(c.content(key))
		case 4:
			c.cancel(key)
		}
	}
}

type client struct{ *process }

// content returns one of the few contents that clients use, so that some use the same.
func (c client) content(key int) job.Job {
	version := c.w.rng.IntN(3)
	j := job.Job{
		Key:     job.Key{ID: string(rune('a' + key))},
		Trigger: int64(1 + 4*version),
		Route:   restRoute,
	}
	if (key+version)%2 == 0 {
		j.Route = natsRoute
	}
	return j
}

// create stores j if there is no job, or compares it with the one there is.
func (c client) create(j job.Job) {
	next := job.New(j, c.w.newID("fire"))
	for range 4 {
		outcome, now := c.attempt(create, next)
		if outcome != lost {
			return
		}
		switch {
		case now.Status != job.Cancelled && now.SameContent(j):
			c.answer(answer{verb: create, told: exists, arm: now.FireID})
			return
		case now.Status.Live():
			return // 400, without a promise
		}
		next, _ = now.Rearm(j, c.w.newID("fire")) // it is final
	}
}

// change is PUT.
func (c client) change(j job.Job) {
	for range 4 {
		now := c.read(keyOf(j.Key))
		if now.Revision == 0 {
			return
		}
		next, err := now.Change(j, c.w.newID("fire"))
		if err != nil {
			c.answer(answer{verb: change, told: tooLate, arm: now.FireID})
			return
		}
		if outcome, _ := c.attempt(change, next); outcome != lost {
			return
		}
	}
}

// cancel is DELETE.
func (c client) cancel(key int) {
	for range 4 {
		now := c.read(key)
		if now.Revision == 0 {
			return
		}
		next, err := now.Cancel(time.UnixMilli(c.w.clock))
		if err != nil {
			c.answer(answer{verb: cancel, told: tooLate, arm: now.FireID})
			return
		}
		if outcome, _ := c.attempt(cancel, next); outcome != lost {
			return
		}
	}
}

// attempt writes rec and records what the client can know about it.
func (c client) attempt(verb verb, rec job.Record) (outcome, job.Record) {
	rec.Op = c.w.newID("op")
	outcome, now := c.write(rec, 3)
	switch outcome {
	case applied:
		c.answer(answer{verb: verb, told: done, op: rec.Op, arm: rec.FireID})
	case lost:
		c.answer(answer{verb: verb, told: notYet, op: rec.Op, arm: rec.FireID})
	case unknown:
		c.w.tally[unknowns]++
	}
	return outcome, now
}

func (c client) answer(a answer) {
	c.w.note("%s: %s of %s (%s): %s", c.name, a.verb, a.arm, a.op, a.told)
	c.w.answers = append(c.w.answers, a)
}
