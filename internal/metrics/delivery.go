package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"belfry/internal/job"
)

// Outcome is the outcome of a fire that a worker took up.
type Outcome string

// These are the outcomes.
const (
	Delivered   Outcome = "delivered"   // the receiver has it
	Failed      Outcome = "failed"      // the try failed, in a way that is worth another one
	Gone        Outcome = "gone"        // the receiver answered 410
	Final       Outcome = "final"       // the receiver gave another status that is final
	Interrupted Outcome = "interrupted" // a shutdown cut the try off
	Expired     Outcome = "expired"     // no try: too late for its route
	Unrouted    Outcome = "unrouted"    // no try: its route is deleted
	PutBack     Outcome = "put_back"    // no try: its route is paused, or its breaker open; the job waits again
)

// Outcomes lists every outcome.
func Outcomes() []Outcome {
	return []Outcome{Delivered, Failed, Gone, Final, Interrupted, Expired, Unrouted, PutBack}
}

// MaxRoutes is how many routes have series of their own. Routes that come later share
// the series of the db "other" and the route "other".
const MaxRoutes = 1000

// Delivery records the outcomes of the fires of REST routes.
type Delivery struct {
	panics prometheus.Counter

	tries    *prometheus.CounterVec
	retries  *prometheus.CounterVec
	seconds  *prometheus.CounterVec
	inFlight *prometheus.GaugeVec
	duration prometheus.Observer
	lateness prometheus.Observer

	mu     sync.RWMutex // guards what follows
	routes map[job.RouteKey]*route
	other  *route
}

// route is the series of one route.
type route struct {
	tries    map[Outcome]prometheus.Counter
	retries  prometheus.Counter
	seconds  prometheus.Counter
	inFlight prometheus.Gauge
}

func newDelivery(s *set) *Delivery {
	return &Delivery{
		tries:    s.counters("belfry_delivery_tries_total", "Fires that a worker took up, by what became of them: `delivered`, `failed`, `gone` (410), `final`, `interrupted` by a shutdown, and without a try `expired`, `unrouted`, and `put_back` while the route is paused or its breaker open.", "db", "route", "outcome"),
		retries:  s.counters("belfry_delivery_retries_total", "Tries that failed and are to be made again.", "db", "route"),
		seconds:  s.counters("belfry_delivery_try_seconds_total", "How long tries took together.", "db", "route"),
		inFlight: s.gauges("belfry_delivery_tries_in_flight", "Tries under way.", "db", "route"),
		duration: s.histogram("belfry_delivery_try_duration_seconds", "How long a try took, to the end of the answer.", callBuckets),
		lateness: s.histogram("belfry_delivery_lateness_seconds", "From when a try was due until it began.", lateBuckets),
		routes:   map[job.RouteKey]*route{},
	}
}

// TryBegan records that a try began, and how late it was.
func (d *Delivery) TryBegan(k job.RouteKey, late time.Duration) {
	if d != nil {
		d.lateness.Observe(late.Seconds())
		d.route(k).inFlight.Inc()
	}
}

// TryEnded records that a try ended, and how long it took.
func (d *Delivery) TryEnded(k job.RouteKey, took time.Duration) {
	if d != nil {
		d.duration.Observe(took.Seconds())
		r := d.route(k)
		r.inFlight.Dec()
		r.seconds.Add(took.Seconds())
	}
}

// Came records the outcome of a fire, and whether another try follows.
func (d *Delivery) Came(k job.RouteKey, to Outcome, again bool) {
	if d != nil {
		r := d.route(k)
		count(r.tries, to)
		if again {
			r.retries.Inc()
		}
	}
}

// route returns the series of a route.
func (d *Delivery) route(k job.RouteKey) *route {
	d.mu.RLock()
	r := d.routes[k]
	if r == nil && len(d.routes) >= MaxRoutes {
		r = d.other
	}
	d.mu.RUnlock()
	if r != nil {
		return r
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.routes[k] != nil:
		return d.routes[k]
	case len(d.routes) < MaxRoutes:
		r = d.series(k.DB, k.ID)
		d.routes[k] = r
		return r
	case d.other == nil:
		d.other = d.series("other", "other")
	}
	return d.other
}

func (d *Delivery) series(db, id string) *route {
	r := &route{
		tries:    map[Outcome]prometheus.Counter{},
		retries:  d.retries.WithLabelValues(db, id),
		seconds:  d.seconds.WithLabelValues(db, id),
		inFlight: d.inFlight.WithLabelValues(db, id),
	}
	for _, o := range Outcomes() {
		r.tries[o] = d.tries.WithLabelValues(db, id, string(o))
	}
	return r
}

// Panicked records that a callback panicked.
func (d *Delivery) Panicked() {
	if d != nil {
		d.panics.Inc()
	}
}
