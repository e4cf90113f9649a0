package delivery_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"belfry/delivery"
	"belfry/internal/job"
	"belfry/internal/metrics"
	"belfry/internal/metrics/metricstest"
)

// Each way in which a fire can end is counted under its own name.
func TestMetricsOfOutcomes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		outcome metrics.Outcome
		answer  http.HandlerFunc
		policy  job.Policy
		change  func(*job.Handover)
		norun   bool // no try
		retries float64
	}{
		{outcome: metrics.Delivered},
		{outcome: metrics.Failed, answer: status(500), retries: 1},
		{outcome: metrics.Failed, answer: hang, retries: 1},
		{outcome: metrics.Failed, answer: status(500), change: func(h *job.Handover) { h.Attempt = 12 }},
		{outcome: metrics.Failed, change: func(h *job.Handover) { h.Times = 20 }, norun: true, retries: 1},
		{outcome: metrics.Gone, answer: status(410)},
		{outcome: metrics.Final, answer: status(418), policy: job.Policy{FinalStatuses: []job.StatusRange{{First: 400, Last: 499}}}},
		{outcome: metrics.Expired, policy: job.Policy{MaxLateness: time.Second}, norun: true},
		{outcome: metrics.PutBack, policy: job.Policy{Paused: true}, norun: true},
		{outcome: metrics.Unrouted, change: func(h *job.Handover) { h.Route = "deleted" }, norun: true},
	} {
		t.Run(string(tt.outcome), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := metricstest.New()
				rec := newReceiver(t, tt.answer)
				s := newStore(t)
				due := time.Now().Add(-3 * time.Second)
				s.standing = func(job.Fire) (job.Standing, job.Record, error) {
					return job.Valid, job.Record{Replaces: job.Position{Due: due.UnixMilli()}}, nil
				}
				s.run(delivery.Config{Metrics: m.Delivery}, rec.dial)
				route := "r"
				s.fire(s.addPolicy("r", "http://h.example/", tt.policy), func(h *job.Handover) {
					if tt.change != nil {
						tt.change(h)
					}
					route = h.Route
				})
				s.awaitAcks(1)
				tried := 1.0
				if tt.norun {
					tried = 0
				}
				for _, o := range metrics.Outcomes() {
					want := 0.0
					if o == tt.outcome {
						want = 1
					}
					if got := metricstest.Value(t, m, fmt.Sprintf(`belfry_delivery_tries_total{db="db",outcome="%s",route="%s"}`, o, route)); got != want {
						t.Errorf("%v fires are %s, want %v", got, o, want)
					}
				}
				for series, want := range map[string]float64{
					`belfry_delivery_retries_total{db="db",route="` + route + `"}`: tt.retries,
					`belfry_delivery_try_duration_seconds_count`:                   tried,
					`belfry_delivery_lateness_seconds_count`:                       tried,
					`belfry_delivery_lateness_seconds_sum`:                         tried * 3,
					`belfry_delivery_tries_in_flight{db="db",route="r"}`:           0,
				} {
					if got := metricstest.Value(t, m, series); got != want {
						t.Errorf("%s is %v, want %v", series, got, want)
					}
				}
			})
		})
	}
}

// A try counts as under way until it is over, one that is cut off, too.
func TestMetricsOfTriesInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := metricstest.New()
		began := make(chan struct{})
		rec := newReceiver(t, func(_ http.ResponseWriter, r *http.Request) {
			began <- struct{}{}
			<-r.Context().Done()
		})
		s := newStore(t)
		stop := s.run(delivery.Config{Metrics: m.Delivery, Grace: time.Second}, rec.dial)
		key := s.addRoute("r", "http://h.example/")
		s.fire(key)
		s.fire(key)
		<-began
		<-began
		const inFlight = `belfry_delivery_tries_in_flight{db="db",route="r"}`
		if got := metricstest.Value(t, m, inFlight); got != 2 {
			t.Errorf("%s is %v while two receivers hang, want 2", inFlight, got)
		}
		if err := stop(); err != nil && err != context.Canceled {
			t.Fatal(err)
		}
		if got := metricstest.Value(t, m, inFlight); got != 0 {
			t.Errorf("%s is %v in the end, want 0", inFlight, got)
		}
		if got := metricstest.Value(t, m, `belfry_delivery_tries_total{db="db",outcome="interrupted",route="r"}`); got != 2 {
			t.Errorf("%v tries were interrupted, want 2", got)
		}
		if got := metricstest.Value(t, m, `belfry_delivery_try_seconds_total{db="db",route="r"}`); got != 2 {
			t.Errorf("tries took %v s together, want 2", got)
		}
	})
}
