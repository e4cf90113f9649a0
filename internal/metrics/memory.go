package metrics

import "github.com/prometheus/client_golang/prometheus"

// Memory records the memory that requests and jobs hold, and its bounds, by purpose.
type Memory struct {
	held     *prometheus.GaugeVec
	limit    *prometheus.GaugeVec
	waits    *prometheus.CounterVec
	refusals *prometheus.CounterVec

	jobs, jobsLimit prometheus.Gauge
}

func newMemory(s *set) *Memory {
	return &Memory{
		held:     s.gauges("belfry_request_memory_bytes", "What requests hold: `requests` is their bodies, what they have read, and answers that their clients have not taken; `reads` is what is on its way to them from NATS.", "of"),
		limit:    s.gauges("belfry_request_memory_limit_bytes", "How much they may hold.", "of"),
		waits:    s.counters("belfry_request_memory_waits_total", "Times that a request has waited for others to give back what they hold.", "of"),
		refusals: s.counters("belfry_request_memory_refusals_total", "Times that it has waited in vain.", "of"),

		jobs:      s.gauge("belfry_job_memory_bytes", "What jobs hold on this node that are loaded, fired or delivered."),
		jobsLimit: s.gauge("belfry_job_memory_limit_bytes", "How much they may hold."),
	}
}

// Room records one bound.
type Room struct {
	held     prometheus.Gauge
	waits    prometheus.Counter
	refusals prometheus.Counter
}

// Room returns the recorder of a bound of limit bytes.
func (m *Memory) Room(of string, limit int64) *Room {
	if m == nil {
		return nil
	}
	m.limit.WithLabelValues(of).Set(float64(limit))
	return &Room{m.held.WithLabelValues(of), m.waits.WithLabelValues(of), m.refusals.WithLabelValues(of)}
}

// Jobs returns the recorder of the jobs' bound of limit bytes. It records only how
// much is held.
func (m *Memory) Jobs(limit int64) *Room {
	if m == nil {
		return nil
	}
	m.jobsLimit.Set(float64(limit))
	return &Room{held: m.jobs}
}

// Held records how much is held now.
func (r *Room) Held(bytes int64) {
	if r != nil {
		r.held.Set(float64(bytes))
	}
}

// Waited records that a request must wait.
func (r *Room) Waited() {
	if r != nil {
		r.waits.Inc()
	}
}

// Refused records that a request has waited in vain.
func (r *Room) Refused() {
	if r != nil {
		r.refusals.Inc()
	}
}

// NATS records the losses of connections to NATS.
type NATS struct{ lost *prometheus.CounterVec }

func newNATS(s *set) *NATS {
	return &NATS{s.counters("belfry_nats_disconnects_total", "Connections to NATS that were lost; Belfry connects again by itself.", "connection")}
}

// Opened shows the losses of a connection from the start.
func (n *NATS) Opened(connection string) {
	if n != nil {
		n.lost.WithLabelValues(connection)
	}
}

// Lost records that a connection was lost.
func (n *NATS) Lost(connection string) {
	if n != nil {
		n.lost.WithLabelValues(connection).Inc()
	}
}
