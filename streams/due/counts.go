package due

import (
	"sort"
	"time"

	"github.com/tidwall/btree"

	"belfry/internal/job"
	"belfry/internal/metrics"
)

// Counts returns how many jobs there are. It takes a few microseconds however many there
// are. The overdue count leaves out the few jobs that are being loaded, or are being
// claimed for the first time, for a second at most.
func (q *Queue) Counts(now time.Time) metrics.Counts {
	held := 0
	for g := range q.queues {
		if q.opening(g.route).Held {
			held += g.waiting.Len()
		}
	}
	stuck := 0
	for _, since := range q.claiming {
		if now.UnixMilli()-since >= claimsInTime.Milliseconds() {
			stuck++
		}
	}
	// Firing records are in far, or near, too.
	waiting := max(q.far.Len()+len(q.near)+len(q.parked)+len(q.heavies.aside)-len(q.firing), 0)
	overdue := len(q.parked) - held + dueIn(q.far, now) + dueIn(q.ready, now) + dueIn(q.postponed, now) + q.heavies.due(now) + stuck
	return metrics.Counts{
		Waiting: waiting,
		// While nothing can be loaded a postponed record may be due in far, too.
		Overdue: min(overdue, max(waiting-held, 0)),
		Held:    held,
		Firing:  len(q.firing),
	}
}

// claimsInTime is how long a first claim may take before its job counts as overdue.
const claimsInTime = time.Second

// dueIn counts the positions that are due.
func dueIn(t *btree.BTreeG[job.Position], now time.Time) int {
	ms := now.UnixMilli()
	return sort.Search(t.Len(), func(i int) bool {
		p, _ := t.GetAt(i)
		return p.Due > ms
	})
}
