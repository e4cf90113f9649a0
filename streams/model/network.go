package model

import "belfry/internal/job"

// call is a request to the store. The sender gets its answer, or finds that none came. In
// that case the request may have been applied, may never be, or may still be on its way.
type call struct {
	apply    func() (uint64, bool)
	answered bool
	missing  bool
	seq      uint64 // the answer, if ok
	ok       bool   // false: the compare-and-set was refused
}

func (c *call) settled() bool { return c.answered || c.missing }

// send sends a request, and does not wait for the answer.
func (p *process) send(apply func() (uint64, bool)) *call {
	p.step()
	c := &call{apply: apply}
	p.w.carry(c, p.server)
	return c
}

// ask sends a request and waits until it is answered or the answer is missing.
func (p *process) ask(apply func() (uint64, bool)) *call {
	c := p.send(apply)
	p.wait(c.settled)
	return c
}

// carry is the network: it decides the fate of a request. Requests of the processes may
// meet two leaders: the old one refuses at once, by what it last knew, while the new one
// applies the request, then or later.
func (w *world) carry(c *call, ofProcess bool) {
	fate := 0
	if !w.calm {
		fate = w.rng.IntN(100)
	}
	switch {
	case fate < 58: // applied and answered at once
		c.answer()
	case fate < 73: // slow: the sender waits for it
		w.net = append(w.net, c)
	case fate < 81: // lost on the way there
		c.missing = true
		w.tally[lostRequests]++
	case fate < 90: // lost on the way back
		c.apply()
		c.missing = true
		w.tally[lostAnswers]++
	case fate < 92 && ofProcess:
		c.apply()
		c.answered = true
		w.tally[oldLeaders]++
	case fate < 94 && ofProcess:
		c.answered = true
		w.net = append(w.net, &call{apply: c.apply, missing: true})
		w.tally[oldLeaders]++
	default: // late: the sender gives up, the request goes on
		c.missing = true
		w.net = append(w.net, c)
		w.tally[lateRequests]++
	}
}

func (c *call) answer() {
	c.seq, c.ok = c.apply()
	c.answered = !c.missing
}

// arrive ends one of the requests on their way.
func (w *world) arrive() {
	i := w.rng.IntN(len(w.net))
	c := w.net[i]
	if !w.calm && !c.missing && w.rng.IntN(8) == 0 {
		c.missing = true // slow has become late
		w.tally[lateRequests]++
		return
	}
	w.net = append(w.net[:i], w.net[i+1:]...)
	if !w.calm && w.rng.IntN(10) == 0 {
		c.missing = true
		w.tally[lostRequests]++
		return
	}
	c.answer()
}

// outcome is what a writer knows about its write.
type outcome int

const (
	applied outcome = iota
	lost            // not applied, and never will be
	unknown
)

// put is one compare-and-set request for a record.
func (p *process) put(rec job.Record, expected uint64) func() (uint64, bool) {
	m, life := write{key: keyOf(rec.Key), rec: rec}, p.lives
	return func() (uint64, bool) {
		m.at, m.late = p.w.clock, !p.alive() || p.lives != life
		revision, ok := p.w.jobs.put(m, expected)
		p.w.note("%s: %s %s attempt %d fire %s (%s) over %d: revision %d, applied %t",
			p.name, rec.Status, rec.ID, rec.Attempt, rec.FireID, rec.Op, rec.Replaces.Seq, revision, ok)
		return revision, ok
	}
}

// write writes rec over the record it replaces and resolves the outcome by reading. It
// sends up to tries times. For a lost write it returns the record that is there instead.
func (p *process) write(rec job.Record, tries int) (outcome, job.Record) {
	expected, doubt := rec.Replaces.Seq, false
	for range tries {
		call := p.ask(p.put(rec, expected))
		if call.ok && call.answered {
			return applied, rec
		}
		doubt = doubt || call.missing
		now := p.read(keyOf(rec.Key))
		switch {
		case now.Op == rec.Op:
			return applied, now
		case now.Revision == expected:
			continue
		case doubt && now.Replaces.Seq == expected:
			return lost, now
		case rec.Status == job.Scheduled && now.FireID == rec.FireID:
			return applied, now // it has been claimed meanwhile
		case !doubt:
			return lost, now
		}
		return unknown, now
	}
	return unknown, job.Record{}
}
