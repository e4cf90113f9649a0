package model

import (
	"time"

	"belfry/internal/job"
)

// The two routes of a schedule, one of each type.
const (
	modelREST = "rest"
	modelNATS = "nats"
)

// modelVerb is what a client asked for.
type modelVerb string

const (
	modelCreate modelVerb = "create"
	modelChange modelVerb = "PUT"
	modelCancel modelVerb = "DELETE"
)

// modelAnswer is what a client was told. One that was told nothing certain
// (503) leaves none.
type modelAnswer struct {
	verb modelVerb
	told modelTold
	op   string // of a write that was applied or lost, as told
	arm  string // the fire id that the answer is about
}

type modelTold string

const (
	modelDone    modelTold = "done"     // 200
	modelExists  modelTold = "exists"   // 200 to a repeated create: arm stands
	modelTooLate modelTold = "too late" // 400: arm has begun to fire, or is over
	modelNotYet  modelTold = "not yet"  // no answer: the write was lost, and is decided anew
)

// modelClientMain asks for a few things about the schedule's jobs.
func modelClientMain(p *modelProcess) {
	c := modelClient{p}
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

type modelClient struct{ *modelProcess }

// content returns one of the few contents that clients ask for, so that some
// ask for the same.
func (c modelClient) content(key int) job.Job {
	version := c.w.rng.IntN(3)
	j := job.Job{
		Key:     job.Key{ID: string(rune('a' + key))},
		Trigger: int64(1 + 4*version),
		Route:   modelREST,
	}
	if (key+version)%2 == 0 {
		j.Route = modelNATS
	}
	return j
}

// create stores j where nothing stands, or looks at what does.
func (c modelClient) create(j job.Job) {
	next := job.New(j, c.w.newID("fire"))
	for range 4 {
		outcome, now := c.attempt(modelCreate, next)
		if outcome != modelLost {
			return
		}
		switch {
		case now.Status != job.Cancelled && now.SameContent(j):
			c.answer(modelAnswer{verb: modelCreate, told: modelExists, arm: now.FireID})
			return
		case now.Status.Live():
			return // 400, and nothing promised
		}
		next, _ = now.Rearm(j, c.w.newID("fire")) // it is final
	}
}

// change is PUT.
func (c modelClient) change(j job.Job) {
	for range 4 {
		now := c.read(modelKeyOf(j.Key))
		if now.Revision == 0 {
			return
		}
		next, err := now.Change(j, c.w.newID("fire"))
		if err != nil {
			c.answer(modelAnswer{verb: modelChange, told: modelTooLate, arm: now.FireID})
			return
		}
		if outcome, _ := c.attempt(modelChange, next); outcome != modelLost {
			return
		}
	}
}

// cancel is DELETE.
func (c modelClient) cancel(key int) {
	for range 4 {
		now := c.read(key)
		if now.Revision == 0 {
			return
		}
		next, err := now.Cancel(time.UnixMilli(c.w.clock))
		if err != nil {
			c.answer(modelAnswer{verb: modelCancel, told: modelTooLate, arm: now.FireID})
			return
		}
		if outcome, _ := c.attempt(modelCancel, next); outcome != modelLost {
			return
		}
	}
}

// attempt writes rec and notes what the client can say of it.
func (c modelClient) attempt(verb modelVerb, rec job.Record) (modelOutcome, job.Record) {
	rec.Op = c.w.newID("op")
	outcome, now := c.write(rec, 3)
	switch outcome {
	case modelApplied:
		c.answer(modelAnswer{verb: verb, told: modelDone, op: rec.Op, arm: rec.FireID})
	case modelLost:
		c.answer(modelAnswer{verb: verb, told: modelNotYet, op: rec.Op, arm: rec.FireID})
	case modelUnknown:
		c.w.tally[modelUnknowns]++
	}
	return outcome, now
}

func (c modelClient) answer(a modelAnswer) {
	c.w.note("%s: %s of %s (%s): %s", c.name, a.verb, a.arm, a.op, a.told)
	c.w.answers = append(c.w.answers, a)
}
