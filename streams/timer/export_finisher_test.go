package timer

import (
	"time"

	"belfry/internal/job"
)

// Finisher gives tests outside the package the finisher.
type Finisher struct{ f finisher }

func (f *Finisher) Add(r job.Record, now time.Time) { f.f.add(r, now) }
func (f *Finisher) Next() time.Time                 { return f.f.next() }
func (f *Finisher) Done()                           { f.f.done() }
func (f *Finisher) Idle() bool                      { return f.f.idle() }

// Take returns how many fires are to be finished.
func (f *Finisher) Take(now time.Time, busy, hurry bool) int { return len(f.f.take(now, busy, hurry)) }
