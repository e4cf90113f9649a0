package model

import (
	"fmt"

	"belfry/internal/job"
)

// fault is an error that a schedule shows.
type fault struct {
	kind kind
	text string
}

func (f fault) String() string { return string(f.kind) + ": " + f.text }

type kind string

const (
	loss       kind = "loss"       // an armed job never fired, or never reached its receiver
	double     kind = "double"     // a claim has two fires, or a receiver two requests without a crash
	early      kind = "early"      // before its time
	untruth    kind = "untruth"    // differs from what a client was told
	unfinished kind = "unfinished" // fired, but the record does not say so
	invalid    kind = "invalid"    // a fire without a claim, a record overwritten unseen
	noRest     kind = "no rest"    // the schedule does not come to rest
)

// check compares a schedule that has come to rest with the promises.
func (w *world) check() []fault {
	c := &check{w: w, ops: map[string]bool{}, disarmed: map[string]uint64{}, fired: map[string]int{}, perClaim: map[uint64]int{}, voided: map[uint64]bool{}}
	c.history()
	c.fires()
	c.posts()
	c.ends()
	c.answers()
	return c.faults
}

type check struct {
	w        *world
	faults   []fault
	ops      map[string]bool   // writes that were applied
	disarmed map[string]uint64 // cancelled and replaced fire ids: the revision that did it
	ended    []job.Record      // claims that were finished, not claimed anew
	fired    map[string]int    // fires per fire id
	perClaim map[uint64]int    // fires per claim
	voided   map[uint64]bool   // claims that were put back by a worker that had died
}

func (c *check) fault(kind kind, format string, args ...any) {
	c.faults = append(c.faults, fault{kind, fmt.Sprintf(format, args...)})
}

// history reads everything that was written to the bucket, including overwritten records.
func (c *check) history() {
	var last [maxKeys]job.Record
	for _, m := range c.w.jobs.log {
		if m.key == epochKey {
			continue
		}
		r, old := m.rec, last[m.key]
		last[m.key] = r
		c.ops[r.Op] = true
		if r.Replaces.Seq != old.Revision {
			c.fault(invalid, "revision %d of %s (%s) overwrites %d (%s, %s) without having seen it", r.Revision, r.ID, r.FireID, old.Revision, old.Status, old.FireID)
		}
		if old.Status == job.Firing && r.Status != job.Firing {
			c.ended = append(c.ended, old)
		}
		if old.Status.Waiting() && (r.Status == job.Cancelled || r.FireID != old.FireID) {
			c.disarmed[old.FireID] = r.Revision
		}
		if r.Status == job.Firing && (m.at < r.Trigger || m.at < old.Due) {
			c.fault(early, "revision %d claims %s at %d, due %d", r.Revision, r.ID, m.at, old.Due)
		}
		if old.Status == job.Firing && r.Status == job.Firing && r.Replaces.Due != old.Replaces.Due {
			c.fault(invalid, "revision %d claims %s anew, for a try due at %d, not %d", r.Revision, r.ID, r.Replaces.Due, old.Replaces.Due)
		}
		if isPutBack(old, r) && m.late {
			c.voided[old.Revision] = true
		}
		if isPutBack(old, r) && (r.Attempt != old.Attempt-1 || r.Due != old.Replaces.Due) {
			c.fault(invalid, "revision %d puts %s (%s) back to attempt %d, due %d; its try was number %d, due %d",
				r.Revision, r.ID, r.FireID, r.Attempt, r.Due, old.Attempt, old.Replaces.Due)
		}
	}
}

// fires checks the fires. Each has a claim, no claim has two that were not purged, no
// arming of a NATS route has two, and a disarmed job gets no more.
func (c *check) fires() {
	claimFires, idFires := map[uint64]int{}, map[string]int{} // without the purged ones
	for _, m := range c.w.fires.log {
		if m.op != "" {
			continue
		}
		f := m.fire
		claim := c.w.jobs.log[f.Claim-1].rec
		if claim.Status != job.Firing || claim.FireID != f.FireID || claim.Attempt != f.Attempt {
			c.fault(invalid, "fire %d (%s) says claim %d, which is %s of %s", f.Seq, f.FireID, f.Claim, claim.Status, claim.FireID)
		}
		c.fired[f.FireID]++
		c.perClaim[f.Claim]++
		if !m.purged { // a purged one is published again
			claimFires[f.Claim]++
			idFires[f.FireID]++
		}
		if n := claimFires[f.Claim]; n > 1 {
			c.fault(double, "claim %d of %s (%s) has %d fires, the last at %d", f.Claim, f.Key.ID, f.FireID, n, f.Seq)
		}
		if n := idFires[f.FireID]; f.Route == natsRoute && n > 1 {
			c.fault(double, "%s (%s) of a NATS route has %d fires, the last at %d", f.Key.ID, f.FireID, n, f.Seq)
		}
		if m.at < f.Trigger {
			c.fault(early, "fire %d of %s (%s) at %d, trigger time %d", f.Seq, f.Key.ID, f.FireID, m.at, f.Trigger)
		}
		if by, gone := c.disarmed[f.FireID]; gone && f.Claim > by {
			c.fault(untruth, "%s (%s) was disarmed by revision %d, fire %d is of claim %d", f.Key.ID, f.FireID, by, f.Seq, f.Claim)
		}
	}
}

// posts checks the posts. There is one per try, and one more for each worker that died
// during the try or whose fire was purged. A disarmed job has none. A worker that died
// may have put back the fire, and its write may arrive in the middle of the next worker's
// post.
func (c *check) posts() {
	type try struct {
		arm     string
		attempt int
	}
	whole := map[try]int{}
	for _, p := range c.w.posts {
		f := p.fire
		if !p.cut && !c.voided[f.Claim] && !c.w.fires.log[f.Seq-1].purged {
			whole[try{f.FireID, f.Attempt}]++
		}
		if n := whole[try{f.FireID, f.Attempt}]; n > 1 {
			c.fault(double, "%s (%s) try %d was posted %d times by workers that lived", f.Key.ID, f.FireID, f.Attempt, n)
		}
		if by, gone := c.disarmed[f.FireID]; gone && p.behind >= by {
			c.fault(untruth, "%s (%s) was disarmed by revision %d, and posted behind %d", f.Key.ID, f.FireID, by, p.behind)
		}
		if p.at < f.Trigger {
			c.fault(early, "%s (%s) posted at %d, trigger time %d", f.Key.ID, f.FireID, p.at, f.Trigger)
		}
	}
}

// ends checks that every job came to an end, and that what its end says took place. (A
// dead job whose id is armed again before its copy is in DEAD may have none: its record
// is gone.)
func (c *check) ends() {
	for _, r := range c.ended {
		if c.perClaim[r.Revision] == 0 {
			c.fault(loss, "claim %d of %s (%s) was finished without a fire", r.Revision, r.ID, r.FireID)
		}
	}
	for key := range c.w.keys {
		r := c.w.jobs.get(key)
		claim := r.Replaces.Seq
		switch {
		case r.Revision == 0 || r.Status == job.Cancelled:
		case r.Status == job.Firing && r.Route == natsRoute && c.perClaim[r.Revision] > 0:
			c.fault(unfinished, "%s (%s) is left firing at revision %d, though it is in FIRES", r.ID, r.FireID, r.Revision)
		case !r.Status.Final():
			c.fault(loss, "%s (%s) is left %s at revision %d, with %d fires", r.ID, r.FireID, r.Status, r.Revision, c.perClaim[r.Revision])
		case r.Status == job.Delivered && !c.posted(claim, true):
			c.fault(loss, "%s (%s) is delivered, but no post of claim %d succeeded", r.ID, r.FireID, claim)
		case r.Status == job.Dead && !c.posted(claim, false):
			c.fault(loss, "%s (%s) is dead, but no post of claim %d failed", r.ID, r.FireID, claim)
		case r.Status == job.Dead && !c.w.dead[r.FireID]:
			c.fault(loss, "%s (%s) is dead, but not in DEAD", r.ID, r.FireID)
		}
	}
}

func (c *check) posted(claim uint64, success bool) bool {
	for _, p := range c.w.posts {
		if p.fire.Claim == claim && p.success == success {
			return true
		}
	}
	return false
}

// answers checks that each client was told the truth.
func (c *check) answers() {
	for _, a := range c.w.answers {
		switch a.told {
		case done:
			if !c.ops[a.op] {
				c.fault(untruth, "%s of %s was answered done, but %s was never applied", a.verb, a.arm, a.op)
			}
		case notYet:
			if c.ops[a.op] {
				c.fault(untruth, "%s of %s counted as lost, but %s was applied", a.verb, a.arm, a.op)
			}
		case exists, tooLate:
			if _, gone := c.disarmed[a.arm]; c.fired[a.arm] == 0 && !gone {
				c.fault(untruth, "%s of %s was answered %q, but it never fired", a.verb, a.arm, a.told)
			}
		}
	}
}
