package model

import (
	"errors"
	"iter"

	"belfry/internal/job"
)

// process is one actor, written as straight code that hands the turn back before each
// step. It runs as a coroutine: exactly one process moves at a time, and the schedule
// says which. Between two turns it may crash, which loses everything that it knew but
// nothing that it sent. It may also be paused for long and wake up with everything it had
// in hand.
type process struct {
	w       *world
	name    string
	main    func(*process)
	server  bool        // an owner or a worker; clients do not crash
	ready   func() bool // the condition it waits for; nil for none
	asleep  int         // paused up to this step
	owning  bool        // it takes itself for the owner of the partition
	lapsed  bool        // its clock says that the lease has lapsed, or its connection broke
	resume  func() (struct{}, bool)
	kill    func()
	lives   int // how often it was started
	handoff func()
}

var errCrash = errors.New("crashed")

// boot starts the process from nothing.
func (p *process) boot() {
	p.ready = nil
	p.lives++
	p.resume, p.kill = iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if r := recover(); r != nil && r != errCrash {
				panic(r)
			}
		}()
		p.handoff = func() {
			if !yield(struct{}{}) {
				panic(errCrash) // unwinds main; nothing else does
			}
		}
		p.main(p)
	})
}

func (p *process) alive() bool { return p.resume != nil }

func (p *process) canMove() bool {
	return p.alive() && p.asleep <= p.w.steps && (p.ready == nil || p.ready())
}

// move gives the process one turn.
func (p *process) move() {
	p.ready = nil
	if _, more := p.resume(); !more {
		p.resume = nil
	}
}

// end stops the process at once.
func (p *process) end() {
	if p.alive() {
		p.kill()
	}
	p.resume, p.owning, p.lapsed = nil, false, false
}

// step gives the turn to the others.
func (p *process) step() { p.wait(nil) }

// wait gives the turn to the others, at least once and until ready.
func (p *process) wait(ready func() bool) {
	p.ready = ready
	p.handoff()
}

// read reads a record from the leader. Reads are repeated until they are answered, so the
// model has no faults for them.
func (p *process) read(key int) job.Record {
	p.step()
	return p.w.jobs.get(key)
}
