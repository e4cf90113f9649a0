package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"belfry/internal/job"
)

// breakers shows the state of the routes' breakers at the time of the scrape, since
// an open breaker becomes half-open by itself.
type breakers struct {
	desc *prometheus.Desc

	mu    sync.Mutex // guards what follows
	until map[job.RouteKey]time.Time
	named map[job.RouteKey]struct{} // those with series of their own
}

// These are the values of a breaker.
const (
	breakerClosed   = 0
	breakerHalfOpen = 1
	breakerOpen     = 2
)

func newBreakers(s *set) *breakers {
	const name, help = "belfry_breaker_state", "How the breaker of a REST route stands, once it has tripped: 2 is open, 1 half-open, 0 closed; on all nodes alike."
	labels := []string{"db", "route"}
	b := &breakers{
		desc:  prometheus.NewDesc(name, help, labels, nil),
		until: map[job.RouteKey]time.Time{}, named: map[job.RouteKey]struct{}{},
	}
	s.add(b, Metric{name, "gauge", labels, help})
	return b
}

func (b *breakers) Describe(descs chan<- *prometheus.Desc) { descs <- b.desc }

func (b *breakers) Collect(values chan<- prometheus.Metric) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	show := func(db, route string, state float64) {
		values <- prometheus.MustNewConstMetric(b.desc, prometheus.GaugeValue, state, db, route)
	}
	// The other routes share one series with the route that has this name.
	others := job.RouteKey{DB: "other", ID: "other"}
	for k := range b.named {
		if k != others {
			show(k.DB, k.ID, b.state(k, now))
		}
	}
	if _, named := b.named[others]; !named && len(b.named) < MaxRoutes {
		return
	}
	worst := 0.0
	for k := range b.until {
		if _, named := b.named[k]; !named || k == others {
			worst = max(worst, b.state(k, now))
		}
	}
	show(others.DB, others.ID, worst)
}

func (b *breakers) state(k job.RouteKey, now time.Time) float64 {
	switch until, tripped := b.until[k]; {
	case !tripped:
		return breakerClosed
	case now.Before(until):
		return breakerOpen
	}
	return breakerHalfOpen
}

// BreakerTripped records that a route's breaker is open until the given time, and
// half-open from then on.
func (s *Streams) BreakerTripped(k job.RouteKey, until time.Time) {
	if s == nil {
		return
	}
	b := s.breakers
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until[k] = until
	if len(b.named) < MaxRoutes {
		b.named[k] = struct{}{}
	}
}

// BreakerReset records that a route's breaker is closed again.
func (s *Streams) BreakerReset(k job.RouteKey) {
	if s == nil {
		return
	}
	b := s.breakers
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.until, k)
}
