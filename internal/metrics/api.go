package metrics

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// API records the requests of the HTTP API and of the NATS service.
type API struct {
	panics prometheus.Counter

	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

// StatusLeft is the recorded status of a request whose client left before the answer.
const StatusLeft = 499

// MethodNATS is the recorded method of a request to the NATS service. The path is the
// subject that the service listens on.
const MethodNATS = "NATS"

func newAPI(s *set) *API {
	return &API{
		requests: s.counters("belfry_api_requests_total", "Requests that were answered; the status 499 is one whose client left before. The method NATS is the NATS service, whose path is a subject.", "method", "path", "status"),
		duration: s.histograms("belfry_api_request_seconds", "From the headers of a request to the end of its answer; over NATS, from when it is taken up.", callBuckets, "method", "path"),
		inFlight: s.gauge("belfry_api_requests_in_flight", "Requests under way."),
	}
}

// RequestBegan records that a request came in.
func (a *API) RequestBegan() {
	if a != nil {
		a.inFlight.Inc()
	}
}

// methods are the methods that have series of their own.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, MethodNATS}

// RequestEnded records the answer to a request. path is the pattern that the request
// matched; it is empty if there was none.
func (a *API) RequestEnded(method, path string, status int, took time.Duration) {
	if a == nil {
		return
	}
	if !slices.Contains(methods, method) {
		method = "other"
	}
	if path == "" {
		path = "none"
	}
	a.inFlight.Dec()
	a.requests.WithLabelValues(method, path, strconv.Itoa(status)).Inc()
	a.duration.WithLabelValues(method, path).Observe(took.Seconds())
}

// Panicked records that a callback panicked.
func (a *API) Panicked() {
	if a != nil {
		a.panics.Inc()
	}
}
