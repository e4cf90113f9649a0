package streams

import (
	"belfry/internal/job"
	"belfry/internal/room"
)

// Bound has the large records of the agenda take room.
func (a Agenda) Bound(pool *room.Pool) { a.a.heavies.room = inFlight{pool, 1} }

// ObserveLarge is Observe for a record with a value of so many bytes.
func (a Agenda) ObserveLarge(r job.Record, bytes int) {
	a.a.observe(r)
	a.a.weigh(r, bytes)
}

// Hungry reports whether records wait for room.
func (a Agenda) Hungry() bool { return a.a.heavies.hungry() }

// Ready counts the records that are loaded and wait for their time.
func (a Agenda) Ready() int { return a.a.ready.Len() }

// LargePulls counts the routes of which large fires are expected.
func (in *Inboxes) LargePulls() (n int) {
	in.large.Range(func(any, any) bool { n++; return true })
	return n
}
