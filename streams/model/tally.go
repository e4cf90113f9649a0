package model

import (
	"fmt"
	"strings"

	"belfry/internal/job"
)

// tally counts what happened in schedules, by counter.
type tally [len(counters)]int

const (
	schedules = iota
	steps
	claims
	fired
	posts
	repeats
	cancels
	changes
	rearms
	putBacks
	tooLates
	unknowns
	deaths
	takeovers
	refusals
	foundFires
	missingFires
	lateClaims
	anew
	crashes
	pauses
	days
	turnedGates
	purges
	lostRequests
	lostAnswers
	lateRequests
	oldLeaders
)

var counters = [...]string{
	schedules:    "schedules",
	steps:        "steps",
	claims:       "claims",
	fired:        "fires",
	posts:        "posts",
	repeats:      "posts cut short by a crash",
	cancels:      "cancels",
	changes:      "changes",
	rearms:       "finished jobs armed again",
	putBacks:     "fires put back",
	tooLates:     "answers: too late",
	unknowns:     "answers: outcome unknown",
	deaths:       "deaths",
	takeovers:    "takeovers begun",
	refusals:     "publishes refused by the fence",
	foundFires:   "native fires found by a takeover",
	missingFires: "missing fires published by a takeover",
	lateClaims:   "older owners' claims behind L",
	anew:         "claims made anew",
	crashes:      "crashes",
	pauses:       "pauses",
	days:         "long silences",
	turnedGates:  "gates shut or opened",
	purges:       "purges of FIRES",
	lostRequests: "lost requests",
	lostAnswers:  "lost answers",
	lateRequests: "late requests",
	oldLeaders:   "refusals by an old leader",
}

func (t *tally) add(other tally) {
	for i, n := range other {
		t[i] += n
	}
}

func (t tally) String() string {
	var parts []string
	for i, n := range t {
		parts = append(parts, fmt.Sprintf("%d %s", n, counters[i]))
	}
	return strings.Join(parts, ", ")
}

// count returns the tally of a schedule that has been played.
func (w *world) count() tally {
	t := w.tally
	t[schedules], t[steps], t[posts] = 1, w.steps, len(w.posts)
	var last [maxKeys]job.Record
	for _, m := range w.jobs.log {
		if m.key == epochKey {
			continue
		}
		old := last[m.key]
		last[m.key] = m.rec
		if isPutBack(old, m.rec) {
			t[putBacks]++
			continue
		}
		switch m.rec.Status {
		case job.Firing:
			t[claims]++
			if old.Status == job.Firing {
				t[anew]++
			}
		case job.Scheduled:
			if old.Status.Final() {
				t[rearms]++
			} else if old.Status.Live() {
				t[changes]++
			}
		case job.Cancelled:
			t[cancels]++
		case job.Dead:
			t[deaths]++
		}
	}
	for _, m := range w.fires.log {
		if m.op == "" {
			t[fired]++
		}
	}
	for _, p := range w.posts {
		if p.cut {
			t[repeats]++
		}
	}
	for _, a := range w.answers {
		if a.told == tooLate {
			t[tooLates]++
		}
	}
	return t
}
