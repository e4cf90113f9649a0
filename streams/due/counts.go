package due

import (
	"sort"
	"time"

	"github.com/tidwall/btree"

	"belfry/internal/job"
	"belfry/internal/metrics"
)

// Counts returns how many jobs there are. It takes some microseconds however
// many there are, and leaves out of the due ones those few that are being loaded
// or claimed for the first time, for a second at most.
func (a *Queue) Counts(now time.Time) metrics.Counts {
	held := 0
	for g := range a.queues {
		if a.opening(g.route).Held {
			held += g.waiting.Len()
		}
	}
	stuck := 0
	for _, since := range a.claiming {
		if now.UnixMilli()-since >= claimsInTime.Milliseconds() {
			stuck++
		}
	}
	// Firing records are in far, or near, too.
	waiting := max(a.far.Len()+len(a.near)+len(a.parked)+len(a.heavies.aside)-len(a.firing), 0)
	overdue := len(a.parked) - held + dueIn(a.far, now) + dueIn(a.ready, now) + dueIn(a.postponed, now) + a.heavies.due(now) + stuck
	return metrics.Counts{
		Waiting: waiting,
		// While nothing can be loaded a postponed record may be due in far, too.
		Overdue: min(overdue, max(waiting-held, 0)),
		Held:    held,
		Firing:  len(a.firing),
	}
}

// claimsInTime is how long a claim may take until its job counts as overdue.
const claimsInTime = time.Second

// dueIn counts the positions that are due.
func dueIn(t *btree.BTreeG[job.Position], now time.Time) int {
	ms := now.UnixMilli()
	return sort.Search(t.Len(), func(i int) bool {
		p, _ := t.GetAt(i)
		return p.Due > ms
	})
}
