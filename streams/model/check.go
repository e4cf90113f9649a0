package model

import (
	"fmt"

	"belfry/internal/job"
)

// modelFault is what a schedule shows to be wrong.
type modelFault struct {
	kind modelKind
	text string
}

func (f modelFault) String() string { return string(f.kind) + ": " + f.text }

type modelKind string

const (
	modelLoss       modelKind = "loss"       // an armed job never fired, or never reached its receiver
	modelDouble     modelKind = "double"     // a claim has two fires, or a receiver two requests without a crash
	modelEarly      modelKind = "early"      // before its time
	modelUntruth    modelKind = "untruth"    // not what a client was told
	modelUnfinished modelKind = "unfinished" // fired, but the record does not say so
	modelInvalid    modelKind = "invalid"    // a fire without a claim, a record overwritten unseen
	modelNoRest     modelKind = "no rest"    // the schedule does not come to an end
)

// check holds a schedule that has come to rest against the promises.
func (w *modelWorld) check() []modelFault {
	c := &modelCheck{w: w, ops: map[string]bool{}, disarmed: map[string]uint64{}, fired: map[string]int{}, perClaim: map[uint64]int{}, voided: map[uint64]bool{}}
	c.history()
	c.fires()
	c.posts()
	c.ends()
	c.answers()
	return c.faults
}

type modelCheck struct {
	w        *modelWorld
	faults   []modelFault
	ops      map[string]bool   // writes that were applied
	disarmed map[string]uint64 // cancelled and replaced fire ids: the revision that did it
	ended    []job.Record      // claims that were finished, not claimed anew
	fired    map[string]int    // fires per fire id
	perClaim map[uint64]int    // fires per claim
	voided   map[uint64]bool   // claims that were put back by a worker that had died
}

func (c *modelCheck) fault(kind modelKind, format string, args ...any) {
	c.faults = append(c.faults, modelFault{kind, fmt.Sprintf(format, args...)})
}

// history reads what was written to the bucket, the overwritten included.
func (c *modelCheck) history() {
	var last [modelKeys]job.Record
	for _, m := range c.w.jobs.log {
		if m.key == modelEpochKey {
			continue
		}
		r, old := m.rec, last[m.key]
		last[m.key] = r
		c.ops[r.Op] = true
		if r.Replaces.Seq != old.Revision {
			c.fault(modelInvalid, "revision %d of %s (%s) overwrites %d (%s, %s) without having seen it", r.Revision, r.ID, r.FireID, old.Revision, old.Status, old.FireID)
		}
		if old.Status == job.Firing && r.Status != job.Firing {
			c.ended = append(c.ended, old)
		}
		if old.Status.Waiting() && (r.Status == job.Cancelled || r.FireID != old.FireID) {
			c.disarmed[old.FireID] = r.Revision
		}
		if r.Status == job.Firing && (m.at < r.Trigger || m.at < old.Due) {
			c.fault(modelEarly, "revision %d claims %s at %d, due %d", r.Revision, r.ID, m.at, old.Due)
		}
		if old.Status == job.Firing && r.Status == job.Firing && r.Replaces.Due != old.Replaces.Due {
			c.fault(modelInvalid, "revision %d claims %s anew, for a try due at %d, not %d", r.Revision, r.ID, r.Replaces.Due, old.Replaces.Due)
		}
		if isPutBack(old, r) && m.late {
			c.voided[old.Revision] = true
		}
		if isPutBack(old, r) && (r.Attempt != old.Attempt-1 || r.Due != old.Replaces.Due) {
			c.fault(modelInvalid, "revision %d puts %s (%s) back to attempt %d, due %d; its try was number %d, due %d",
				r.Revision, r.ID, r.FireID, r.Attempt, r.Due, old.Attempt, old.Replaces.Due)
		}
	}
}

// fires: each has a claim, no claim has two, no arming of a NATS route has
// two, and a disarmed job gets no more.
func (c *modelCheck) fires() {
	for _, m := range c.w.fires.log {
		if m.op != "" {
			continue
		}
		f := m.fire
		claim := c.w.jobs.log[f.Claim-1].rec
		if claim.Status != job.Firing || claim.FireID != f.ID || claim.Attempt != f.Attempt {
			c.fault(modelInvalid, "fire %d (%s) says claim %d, which is %s of %s", f.Seq, f.ID, f.Claim, claim.Status, claim.FireID)
		}
		c.fired[f.ID]++
		c.perClaim[f.Claim]++
		if n := c.perClaim[f.Claim]; n > 1 {
			c.fault(modelDouble, "claim %d of %s (%s) has %d fires, the last at %d", f.Claim, f.Key.ID, f.ID, n, f.Seq)
		}
		if n := c.fired[f.ID]; f.Route == modelNATS && n > 1 {
			c.fault(modelDouble, "%s (%s) of a NATS route has %d fires, the last at %d", f.Key.ID, f.ID, n, f.Seq)
		}
		if m.at < f.Trigger {
			c.fault(modelEarly, "fire %d of %s (%s) at %d, trigger time %d", f.Seq, f.Key.ID, f.ID, m.at, f.Trigger)
		}
		if by, gone := c.disarmed[f.ID]; gone && f.Claim > by {
			c.fault(modelUntruth, "%s (%s) was disarmed by revision %d, fire %d is of claim %d", f.Key.ID, f.ID, by, f.Seq, f.Claim)
		}
	}
}

// posts: one per try, and one more for each worker that died over it, and none
// of a job that was disarmed. A worker that died may have put back the fire, and
// its write may arrive in the middle of the next worker's post.
func (c *modelCheck) posts() {
	type try struct {
		arm     string
		attempt int
	}
	whole := map[try]int{}
	for _, p := range c.w.posts {
		f := p.fire
		if !p.cut && !c.voided[f.Claim] {
			whole[try{f.ID, f.Attempt}]++
		}
		if n := whole[try{f.ID, f.Attempt}]; n > 1 {
			c.fault(modelDouble, "%s (%s) try %d was posted %d times by workers that lived", f.Key.ID, f.ID, f.Attempt, n)
		}
		if by, gone := c.disarmed[f.ID]; gone && p.behind >= by {
			c.fault(modelUntruth, "%s (%s) was disarmed by revision %d, and posted behind %d", f.Key.ID, f.ID, by, p.behind)
		}
		if p.at < f.Trigger {
			c.fault(modelEarly, "%s (%s) posted at %d, trigger time %d", f.Key.ID, f.ID, p.at, f.Trigger)
		}
	}
}

// ends: every job came to an end, and what its end says took place. (A dead
// job whose id is armed again before its copy is in DEAD may have none: its
// record is gone.)
func (c *modelCheck) ends() {
	for _, r := range c.ended {
		if c.perClaim[r.Revision] == 0 {
			c.fault(modelLoss, "claim %d of %s (%s) was finished without a fire", r.Revision, r.ID, r.FireID)
		}
	}
	for key := range c.w.keys {
		r := c.w.jobs.get(key)
		claim := r.Replaces.Seq
		switch {
		case r.Revision == 0 || r.Status == job.Cancelled:
		case r.Status == job.Firing && r.Route == modelNATS && c.perClaim[r.Revision] > 0:
			c.fault(modelUnfinished, "%s (%s) is left firing at revision %d, though it is in FIRES", r.ID, r.FireID, r.Revision)
		case !r.Status.Final():
			c.fault(modelLoss, "%s (%s) is left %s at revision %d, with %d fires", r.ID, r.FireID, r.Status, r.Revision, c.perClaim[r.Revision])
		case r.Status == job.Delivered && !c.posted(claim, true):
			c.fault(modelLoss, "%s (%s) is delivered, but no post of claim %d succeeded", r.ID, r.FireID, claim)
		case r.Status == job.Dead && !c.posted(claim, false):
			c.fault(modelLoss, "%s (%s) is dead, but no post of claim %d failed", r.ID, r.FireID, claim)
		case r.Status == job.Dead && !c.w.dead[r.FireID]:
			c.fault(modelLoss, "%s (%s) is dead, but not in DEAD", r.ID, r.FireID)
		}
	}
}

func (c *modelCheck) posted(claim uint64, success bool) bool {
	for _, p := range c.w.posts {
		if p.fire.Claim == claim && p.success == success {
			return true
		}
	}
	return false
}

// answers: each client was told the truth.
func (c *modelCheck) answers() {
	for _, a := range c.w.answers {
		switch a.told {
		case modelDone:
			if !c.ops[a.op] {
				c.fault(modelUntruth, "%s of %s was answered done, but %s was never applied", a.verb, a.arm, a.op)
			}
		case modelNotYet:
			if c.ops[a.op] {
				c.fault(modelUntruth, "%s of %s counted as lost, but %s was applied", a.verb, a.arm, a.op)
			}
		case modelExists, modelTooLate:
			if _, gone := c.disarmed[a.arm]; c.fired[a.arm] == 0 && !gone {
				c.fault(modelUntruth, "%s of %s was answered %q, but it never fired", a.verb, a.arm, a.told)
			}
		}
	}
}
