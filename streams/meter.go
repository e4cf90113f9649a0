package streams

import (
	"sort"
	"time"

	"github.com/tidwall/btree"

	"belfry/internal/job"
	"belfry/internal/metrics"
)

// meter tells the metrics how a timer does. What is not of its Streams is for
// the timer's loop.
type meter struct {
	*metrics.Streams

	partition *metrics.Partition
	since     int64     // when the timer was made, in unix milliseconds
	looked    time.Time // when look counted last
}

// lookEvery is how often the jobs are counted.
const lookEvery = time.Second

func newMeter(m *metrics.Streams, partition int, now time.Time) meter {
	return meter{Streams: m, partition: m.Partition(partition), since: now.UnixMilli()}
}

// claimed takes in a claim that was made. A job that was asked for after its
// time is late by as much.
func (m *meter) claimed(claim job.Record, now time.Time) {
	m.Claimed(now.Sub(time.UnixMilli(claim.Replaces.Due)))
}

// ended takes in a record as the tail brings it. Of all the nodes the one that
// owns the partition counts, and not what ended before it was there.
func (m *meter) ended(r job.Record, ours bool) {
	if ours && r.Status.Final() && r.Finished >= m.since {
		m.Finished(r.Status)
	}
}

// look counts the jobs in the agenda, unless it has just done so. A partition that
// is to be ours and that we cannot take, as while no write works, has jobs too.
func (m *meter) look(a *agenda, owned, wanted bool, now time.Time) {
	if m.partition == nil || now.Sub(m.looked) < lookEvery {
		return
	}
	m.looked = now
	if !owned && !wanted {
		m.partition.NotOwned()
		return
	}
	m.partition.Stands(a.counts(now), owned)
}

// counts returns how many jobs there are. It takes some microseconds however
// many there are, and leaves out of the due ones those few that are being loaded
// or claimed for the first time, for a second at most.
func (a *agenda) counts(now time.Time) metrics.Counts {
	held := 0
	for g := range a.queues {
		if a.opening(g.route).held {
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
