package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"belfry/internal/job"
)

// Streams records what the store and the timer do.
type Streams struct {
	panics prometheus.Counter

	owned, waiting, overdue, held, firing *prometheus.GaugeVec

	breakers *breakers
	damage   prometheus.Gauge
	writable *prometheus.GaugeVec

	serverClock, nodeClock prometheus.Gauge

	finished   map[job.Status]prometheus.Counter
	lateness   prometheus.Observer
	publish    prometheus.Observer
	fires      map[job.RouteType]prometheus.Counter
	claimsLost prometheus.Counter
	doubts     prometheus.Counter
	fences     prometheus.Counter
	letters    map[job.Reason]prometheus.Counter
	dropped    prometheus.Counter

	writing prometheus.Gauge
	write   prometheus.Observer
	single  prometheus.Counter
	batch   prometheus.Observer
	refused prometheus.Counter

	harmed         prometheus.Gauge
	mended         map[string]prometheus.Counter
	removed, again prometheus.Counter
}

// mendable are the kinds of things that are repaired: a stream or bucket, a consumer,
// and a key of the bucket belfry.
var mendable = []string{"stream", "consumer", "key"}

func newStreams(s *set) *Streams {
	var final []job.Status
	for _, status := range job.Statuses() {
		if status.Final() {
			final = append(final, status)
		}
	}
	return &Streams{
		owned:   s.gauges("belfry_timer_partition_owned", "1 if this process fires the jobs of the partition, else 0.", "partition"),
		waiting: s.gauges("belfry_jobs_waiting", "Jobs that are scheduled or retrying, in the partitions that this process owns, or is to own and cannot take; as of the last second.", "partition"),
		overdue: s.gauges("belfry_jobs_overdue", "Those of them that are due already and not held: a REST route has too many fires out, a route reaches its rate limit, the timer is behind, or they cannot be claimed because JetStream takes no writes.", "partition"),
		held:    s.gauges("belfry_jobs_held", "Those of them that are due already and wait because their route is paused, or its breaker is not closed.", "partition"),
		firing:  s.gauges("belfry_jobs_firing", "Jobs that are firing: claimed, and their end not yet written.", "partition"),
		finished: each(s.counters("belfry_jobs_finished_total",
			"Jobs that reached a final status, as the owner of their partition saw it.", "status"), final),
		breakers: newBreakers(s),
		damage:   s.gauge("belfry_store_damage", "Places where stored data is damaged or missing, and nobody has accepted that; `/readyz` has the words."),
		writable: s.gauges("belfry_stream_writable", "1 while writes to the stream work, else 0; `/readyz` has the reason. A stream that nothing is written to is tried every ten seconds.", "stream"),

		serverClock: s.gauge("belfry_clock_nats_ahead_seconds", "How far the clock of the NATS server, the leader of the bucket belfry, is ahead of this node's; below 0 it is behind."),
		nodeClock:   s.gauge("belfry_clock_node_ahead_seconds", "How far the clock of another node is ahead of this node's, of the node that is farthest away; 0 without others."),

		lateness:   s.histogram("belfry_timer_lateness_seconds", "From when a job was due until its claim was stored.", lateBuckets),
		publish:    s.histogram("belfry_timer_publish_seconds", "From then until its fire was stored in FIRES, where workers and subscribers get it.", lateBuckets),
		fires:      each(s.counters("belfry_timer_fires_total", "Fires stored in FIRES, by the type of their route.", "type"), []job.RouteType{job.REST, job.NATS}),
		claimsLost: s.counter("belfry_timer_claims_lost_total", "Claims that came too late, for the job was changed, cancelled or claimed by another in that moment."),
		doubts:     s.counter("belfry_timer_doubts_total", "Times that the owner was in doubt about its last fires, and looked them up."),
		fences:     s.counter("belfry_timer_fences_total", "Fences written to own a partition: at a start, at a takeover, and after a doubt."),

		letters: each(s.counters("belfry_dead_letters_total", "Letters written to DEAD; repeats that JetStream dropped count, too.", "reason"), job.Reasons()),
		dropped: s.counter("belfry_attempts_dropped_total", "Tries that are not in the history of their job, for JetStream was too slow to keep them."),

		writing: s.gauge("belfry_commit_writes_in_flight", "Writes to JetStream that wait for their turn or their answer."),
		write:   s.histogram("belfry_commit_write_seconds", "From when a write was asked for until its answer came, or the wait for it was over.", callBuckets),
		single:  s.counter("belfry_commit_single_writes_total", "Writes that went out by themselves, those of refused batches among them."),
		batch:   s.histogram("belfry_commit_batch_size", "Writes that went out as one atomic batch.", prometheus.ExponentialBuckets(2, 2, 10)),
		refused: s.counter("belfry_commit_batches_refused_total", "Batches that JetStream refused for the sake of one member. Their halves are tried; on replicas each fire is looked up instead."),

		harmed:  s.gauge("belfry_assets_harmed", "Streams, buckets and consumers that other hands changed or removed, and that Belfry cannot mend; `/readyz` says which."),
		mended:  each(s.counters("belfry_assets_mended_total", "What other hands changed or removed and Belfry brought back, by `kind`: settings of a `stream` or bucket, a `consumer`, a `key` of the bucket belfry.", "kind"), mendable),
		removed: s.counter("belfry_fires_removed_total", "Fires that were removed from FIRES before their time, as by a purge or a limit."),
		again:   s.counter("belfry_fires_again_total", "Jobs that are fired again, since their fire was removed before it was delivered."),
	}
}

// Claimed records that a claim was stored, late after the job was due.
func (s *Streams) Claimed(late time.Duration) {
	if s != nil {
		s.lateness.Observe(max(late, 0).Seconds())
	}
}

// Damaged records how much damage nobody has accepted yet.
func (s *Streams) Damaged(n int) {
	if s != nil {
		s.damage.Set(float64(n))
	}
}

// ServerClock records how far the server's clock is ahead of ours. NodeClock records
// the same for the node whose clock is farthest away.
func (s *Streams) ServerClock(ahead time.Duration) {
	if s != nil {
		s.serverClock.Set(ahead.Seconds())
	}
}

// NodeClock is like [Streams.ServerClock].
func (s *Streams) NodeClock(ahead time.Duration) {
	if s != nil {
		s.nodeClock.Set(ahead.Seconds())
	}
}

// Writable records whether writes to a stream work.
func (s *Streams) Writable(stream string, works bool) {
	if s == nil {
		return
	}
	value := 0.0
	if works {
		value = 1
	}
	s.writable.WithLabelValues(stream).Set(value)
}

// Published records that the fire of a claim was stored, took after the claim.
func (s *Streams) Published(t job.RouteType, took time.Duration) {
	if s != nil {
		count(s.fires, t)
		s.publish.Observe(took.Seconds())
	}
}

// ClaimLost records that a job had changed before it could be claimed.
func (s *Streams) ClaimLost() {
	if s != nil {
		s.claimsLost.Inc()
	}
}

// Doubted records that an owner is in doubt about its last fires.
func (s *Streams) Doubted() {
	if s != nil {
		s.doubts.Inc()
	}
}

// FenceTaken records that a partition was taken.
func (s *Streams) FenceTaken() {
	if s != nil {
		s.fences.Inc()
	}
}

// Finished records that a job reached a final status.
func (s *Streams) Finished(status job.Status) {
	if s != nil {
		count(s.finished, status)
	}
}

// Buried records a dead letter.
func (s *Streams) Buried(reason job.Reason) {
	if s != nil {
		count(s.letters, reason)
	}
}

// AttemptsDropped records that n tries were not kept.
func (s *Streams) AttemptsDropped(n int) {
	if s != nil {
		s.dropped.Add(float64(n))
	}
}

// WriteBegan records that a write was requested.
func (s *Streams) WriteBegan() {
	if s != nil {
		s.writing.Inc()
	}
}

// WriteEnded records that a write was answered or given up, took after it was
// requested.
func (s *Streams) WriteEnded(took time.Duration) {
	if s != nil {
		s.writing.Dec()
		s.write.Observe(took.Seconds())
	}
}

// SentAlone records a write that was sent by itself.
func (s *Streams) SentAlone() {
	if s != nil {
		s.single.Inc()
	}
}

// SentBatch records that a batch of writes was sent.
func (s *Streams) SentBatch(writes int) {
	if s != nil {
		s.batch.Observe(float64(writes))
	}
}

// BatchRefused records that a batch was refused.
func (s *Streams) BatchRefused() {
	if s != nil {
		s.refused.Inc()
	}
}

// Harmed records how many assets are not as they should be.
func (s *Streams) Harmed(assets int) {
	if s != nil {
		s.harmed.Set(float64(assets))
	}
}

// Mended records that something of a kind was repaired.
func (s *Streams) Mended(kind string) {
	if s != nil {
		count(s.mended, kind)
	}
}

// FiresRemoved records n fires that were removed before their time.
func (s *Streams) FiresRemoved(n int) {
	if s != nil {
		s.removed.Add(float64(n))
	}
}

// FiredAgain records n jobs that are fired again because their fires were removed.
func (s *Streams) FiredAgain(n int) {
	if s != nil {
		s.again.Add(float64(n))
	}
}

// Partition records the state of one partition; nil records nothing.
type Partition struct{ owned, waiting, overdue, held, firing prometheus.Gauge }

// Partition returns the recorder of a partition.
func (s *Streams) Partition(number int) *Partition {
	if s == nil {
		return nil
	}
	n := strconv.Itoa(number)
	return &Partition{
		s.owned.WithLabelValues(n), s.waiting.WithLabelValues(n), s.overdue.WithLabelValues(n), s.held.WithLabelValues(n), s.firing.WithLabelValues(n),
	}
}

// Counts are the numbers of live jobs in a partition.
type Counts struct {
	Waiting int
	Overdue int // those that are due and not held
	Held    int // those that are due and whose route is paused or down
	Firing  int
}

// Stands records the jobs of a partition that this process owns, or is about to own.
func (p *Partition) Stands(c Counts, owned bool) {
	if p != nil {
		p.owned.Set(0)
		if owned {
			p.owned.Set(1)
		}
		p.waiting.Set(float64(c.Waiting))
		p.overdue.Set(float64(c.Overdue))
		p.held.Set(float64(c.Held))
		p.firing.Set(float64(c.Firing))
	}
}

// NotOwned records that another process owns the partition and counts its jobs.
func (p *Partition) NotOwned() {
	if p != nil {
		for _, g := range []prometheus.Gauge{p.owned, p.waiting, p.overdue, p.held, p.firing} {
			g.Set(0)
		}
	}
}

// Panicked records that a callback panicked.
func (s *Streams) Panicked() {
	if s != nil {
		s.panics.Inc()
	}
}
