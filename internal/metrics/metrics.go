// Package metrics counts what Belfry does, for Prometheus.
//
// It owns every metric: its name, its labels, its meaning, and where it is served.
// The packages that do the work each get a struct of plain recorders, in the words of
// the domain: [Streams], [Delivery] and [API]. A nil recorder records nothing. All
// recorders are safe for concurrent use. They are cheap, since the series of a label
// value are looked up once.
//
// Label values are bounded. They come from fixed lists, except for the routes: the
// first [MaxRoutes] routes that a process meets have series of their own.
package metrics

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"belfry/internal/loglimit"
)

// Metrics are the metrics of one Belfry, separate from those of any other in the
// process.
type Metrics struct {
	Streams  *Streams
	Delivery *Delivery
	API      *API
	Memory   *Memory
	NATS     *NATS
	Log      *Log

	set *set
}

// Build says what is running.
type Build struct{ Version, Commit, Go string }

// New returns metrics that are all zero.
func New(b Build) *Metrics {
	s := &set{registry: prometheus.NewRegistry()}
	s.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	s.gauges("belfry_build_info", "1; the labels say what is running.", "version", "commit", "go").
		WithLabelValues(b.Version, b.Commit, b.Go).Set(1)
	m := &Metrics{Streams: newStreams(s), Delivery: newDelivery(s), API: newAPI(s), Memory: newMemory(s), NATS: newNATS(s), Log: newLog(s), set: s}
	panics := s.counters("belfry_panics_total", "Panics in callbacks that the process outlived, by where: `streams`, `delivery` or `api`. Each is a fault of Belfry; the log has its stack.", "part")
	m.Streams.panics = panics.WithLabelValues("streams")
	m.Delivery.panics = panics.WithLabelValues("delivery")
	m.API.panics = panics.WithLabelValues("api")
	return m
}

// Table lists Belfry's own metrics in the order in which they were made. Those of the
// Go runtime (go_…) and of the process (process_…) are served in addition.
func (m *Metrics) Table() []Metric { return m.set.table }

// Gatherer returns the current values.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.set.registry }

// maxScrapes is how many scrapes are answered at once.
const maxScrapes = 4

// Handler serves the metrics to scrapers. It logs errors.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.set.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(loglimit.OutsideHandler(log.Handler(), "metrics"), slog.LevelWarn),
		MaxRequestsInFlight: maxScrapes,
		EnableOpenMetrics:   true,
	})
}
