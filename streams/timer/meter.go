package timer

import (
	"time"

	"belfry/internal/job"
	"belfry/internal/metrics"
	"belfry/streams/due"
)

// meter reports to the metrics how a timer does. Only the timer's loop uses it, except
// for its Streams.
type meter struct {
	*metrics.Streams

	partition *metrics.Partition
	since     int64     // when the timer was created, in unix milliseconds
	looked    time.Time // when look counted last
}

// lookEvery is how often the jobs are counted.
const lookEvery = time.Second

func newMeter(m *metrics.Streams, partition int, now time.Time) meter {
	return meter{Streams: m, partition: m.Partition(partition), since: now.UnixMilli()}
}

// claimed records a claim. Lateness counts from the due time, so a job that was requested
// after its due time is late by at least that much.
func (m *meter) claimed(claim job.Record, now time.Time) {
	m.Claimed(now.Sub(time.UnixMilli(claim.Replaces.Due)))
}

// ended records a record from the tail. Only the node that owns the partition counts it,
// unless the job ended before that node was there.
func (m *meter) ended(r job.Record, ours bool) {
	if ours && r.Status.Final() && r.Finished >= m.since {
		m.Finished(r.Status)
	}
}

// look counts the jobs in the queue, unless it has just done so. A partition that is to
// be ours but cannot be taken, as while no write works, has jobs, too.
func (m *meter) look(a *due.Queue, owned, wanted bool, now time.Time) {
	if m.partition == nil || now.Sub(m.looked) < lookEvery {
		return
	}
	m.looked = now
	if !owned && !wanted {
		m.partition.NotOwned()
		return
	}
	m.partition.Stands(a.Counts(now), owned)
}
