package model

import (
	"fmt"
	"strings"

	"belfry/internal/job"
)

// modelTally counts what happened in schedules, by modelCounter.
type modelTally [len(modelCounters)]int

const (
	modelSchedules = iota
	modelSteps
	modelClaims
	modelFired
	modelPosts
	modelRepeats
	modelCancels
	modelChanges
	modelRearms
	modelPutBacks
	modelTooLates
	modelUnknowns
	modelDeaths
	modelTakeovers
	modelRefusals
	modelFoundFires
	modelMissingFires
	modelLateClaims
	modelAnew
	modelCrashes
	modelPauses
	modelDays
	modelTurnedGates
	modelLostRequests
	modelLostAnswers
	modelLateRequests
	modelOldLeaders
)

var modelCounters = [...]string{
	modelSchedules:    "schedules",
	modelSteps:        "steps",
	modelClaims:       "claims",
	modelFired:        "fires",
	modelPosts:        "posts",
	modelRepeats:      "posts cut short by a crash",
	modelCancels:      "cancels",
	modelChanges:      "changes",
	modelRearms:       "finished jobs armed again",
	modelPutBacks:     "fires put back",
	modelTooLates:     "answers: too late",
	modelUnknowns:     "answers: outcome unknown",
	modelDeaths:       "deaths",
	modelTakeovers:    "takeovers begun",
	modelRefusals:     "publishes refused by the fence",
	modelFoundFires:   "native fires found by a takeover",
	modelMissingFires: "missing fires published by a takeover",
	modelLateClaims:   "older owners' claims behind L",
	modelAnew:         "claims made anew",
	modelCrashes:      "crashes",
	modelPauses:       "pauses",
	modelDays:         "long silences",
	modelTurnedGates:  "gates shut or opened",
	modelLostRequests: "lost requests",
	modelLostAnswers:  "lost answers",
	modelLateRequests: "late requests",
	modelOldLeaders:   "refusals by an old leader",
}

func (t *modelTally) add(other modelTally) {
	for i, n := range other {
		t[i] += n
	}
}

func (t modelTally) String() string {
	var parts []string
	for i, n := range t {
		parts = append(parts, fmt.Sprintf("%d %s", n, modelCounters[i]))
	}
	return strings.Join(parts, ", ")
}

// count returns the tally of a schedule that has been played.
func (w *modelWorld) count() modelTally {
	t := w.tally
	t[modelSchedules], t[modelSteps], t[modelPosts] = 1, w.steps, len(w.posts)
	var last [modelKeys]job.Record
	for _, m := range w.jobs.log {
		if m.key == modelEpochKey {
			continue
		}
		old := last[m.key]
		last[m.key] = m.rec
		if isPutBack(old, m.rec) {
			t[modelPutBacks]++
			continue
		}
		switch m.rec.Status {
		case job.Firing:
			t[modelClaims]++
			if old.Status == job.Firing {
				t[modelAnew]++
			}
		case job.Scheduled:
			if old.Status.Final() {
				t[modelRearms]++
			} else if old.Status.Live() {
				t[modelChanges]++
			}
		case job.Cancelled:
			t[modelCancels]++
		case job.Dead:
			t[modelDeaths]++
		}
	}
	for _, m := range w.fires.log {
		if m.op == "" {
			t[modelFired]++
		}
	}
	for _, p := range w.posts {
		if p.cut {
			t[modelRepeats]++
		}
	}
	for _, a := range w.answers {
		if a.told == modelTooLate {
			t[modelTooLates]++
		}
	}
	return t
}
