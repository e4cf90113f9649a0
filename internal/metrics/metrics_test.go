package metrics_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"belfry/internal/job"
	"belfry/internal/metrics"
)

// all records something in every metric.
func all(m *metrics.Metrics) {
	p := m.Streams.Partition(0)
	p.Stands(metrics.Counts{Waiting: 4, Overdue: 3, Held: 2, Firing: 1}, true)
	m.Streams.Claimed(time.Millisecond)
	m.Streams.Writable("FIRES", true)
	m.Streams.Published(job.NATS, time.Millisecond)
	m.Streams.ClaimLost()
	m.Streams.Doubted()
	m.Streams.FenceTaken()
	m.Streams.Finished(job.Published)
	m.Streams.Buried(job.ReasonGone)
	m.Streams.AttemptsDropped(2)
	m.Streams.WriteBegan()
	m.Streams.WriteEnded(time.Millisecond)
	m.Streams.SentAlone()
	m.Streams.SentBatch(8)
	m.Streams.BatchRefused()
	k := job.RouteKey{DB: "db", ID: "route"}
	m.Streams.BreakerTripped(k, time.Now().Add(time.Hour))
	m.Delivery.TryBegan(k, time.Millisecond)
	m.Delivery.TryEnded(k, time.Second)
	m.Delivery.Came(k, metrics.Failed, true)
	m.API.RequestBegan()
	m.API.RequestEnded(http.MethodGet, "/healthz", http.StatusOK, time.Millisecond)
	r := m.Memory.Room("requests", 1<<20)
	r.Held(1)
	r.Waited()
	r.Refused()
	m.NATS.Opened("belfry")
	m.NATS.Lost("belfry")
}

// family returns one metric with its values.
func family(t *testing.T, m *metrics.Metrics, name string) *dto.MetricFamily {
	t.Helper()
	families, err := m.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f
		}
	}
	t.Fatalf("there is no %s", name)
	return nil
}

// The table lists exactly the served metrics, and all of them keep to the
// conventions.
func TestTable(t *testing.T) {
	t.Parallel()
	m := metrics.New(metrics.Build{Version: "v1", Commit: "c", Go: "go1"})
	all(m)
	problems, err := testutil.GatherAndLint(m.Gatherer())
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v; want no problem", problems, err)
	}
	var want []string
	for _, row := range m.Table() {
		want = append(want, row.Name)
		f := family(t, m, row.Name)
		if got := strings.ToLower(f.GetType().String()); got != row.Type || f.GetHelp() != row.Help || !strings.HasSuffix(row.Help, ".") {
			t.Errorf("%s is a %s, %q; the table says %s, %q", row.Name, got, f.GetHelp(), row.Type, row.Help)
		}
		var labels []string
		for _, l := range f.Metric[0].Label {
			labels = append(labels, l.GetName())
		}
		named := slices.Sorted(slices.Values(row.Labels))
		if diff := cmp.Diff(named, labels); diff != "" {
			t.Errorf("the labels of %s (-table +served):\n%s", row.Name, diff)
		}
		if !strings.Contains(m.Markdown(), "| `"+row.Name+"` | "+row.Type+" |") {
			t.Errorf("Markdown has no row for %s", row.Name)
		}
	}
	families, err := m.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "belfry_") {
			got = append(got, f.GetName())
		} else if !strings.HasPrefix(f.GetName(), "go_") && !strings.HasPrefix(f.GetName(), "process_") {
			t.Errorf("%s is served, want belfry_, go_ and process_ only", f.GetName())
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the metrics (-table +served):\n%s", diff)
	}
}

func TestNilRecordsNothing(t *testing.T) {
	t.Parallel()
	all(&metrics.Metrics{})
	var p *metrics.Partition
	p.NotOwned()
}

func TestHandler(t *testing.T) {
	t.Parallel()
	m := metrics.New(metrics.Build{Version: `v"1`, Commit: "abc", Go: "go1.26"})
	w := httptest.NewRecorder()
	m.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	const want = `belfry_build_info{commit="abc",go="go1.26",version="v\"1"} 1`
	if body := w.Body.String(); w.Code != http.StatusOK || !strings.Contains(body, want) || !strings.Contains(body, "go_goroutines ") {
		t.Errorf("GET /metrics: %d, want 200 with %s and go_goroutines in\n%.2000s", w.Code, want, body)
	}
}

// The number of routes with series is bounded, however many routes there are.
func TestRoutesAreBounded(t *testing.T) {
	t.Parallel()
	m := metrics.New(metrics.Build{})
	const more = 50
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := range metrics.MaxRoutes + more {
				k := job.RouteKey{DB: "db", ID: fmt.Sprint("r", (n+i*300)%(metrics.MaxRoutes+more))}
				m.Delivery.Came(k, metrics.Delivered, false)
			}
		})
	}
	all.Wait()
	f := family(t, m, "belfry_delivery_retries_total")
	if got := len(f.Metric); got != metrics.MaxRoutes+1 {
		t.Errorf("%d routes have %d series, want %d", metrics.MaxRoutes+more, got, metrics.MaxRoutes+1)
	}
	tries, other := 0.0, 0.0
	for _, series := range family(t, m, "belfry_delivery_tries_total").Metric {
		tries += series.Counter.GetValue()
		if label(series, "route") == "other" && label(series, "outcome") == "delivered" {
			other = series.Counter.GetValue()
		}
	}
	if want := 4.0 * (metrics.MaxRoutes + more); tries != want || other != 4*more {
		t.Errorf("%v tries, %v of them of other routes; want %v and %v", tries, other, want, 4*more)
	}
}

// A breaker shows its state at the time of the scrape. The number of routes with
// series is bounded, however many breakers have tripped.
func TestBreakers(t *testing.T) {
	t.Parallel()
	m := metrics.New(metrics.Build{})
	route := func(n int) job.RouteKey { return job.RouteKey{DB: "db", ID: fmt.Sprint("r", n)} }
	states := func() map[string]float64 {
		all := map[string]float64{}
		for _, series := range family(t, m, "belfry_breaker_state").Metric {
			all[label(series, "route")] = series.Gauge.GetValue()
		}
		return all
	}
	m.Streams.BreakerTripped(route(0), time.Now().Add(time.Hour))
	m.Streams.BreakerTripped(route(1), time.Now().Add(-time.Second))
	m.Streams.BreakerTripped(route(2), time.Now().Add(time.Hour))
	m.Streams.BreakerReset(route(2))
	m.Streams.BreakerReset(route(3)) // was not tripped
	if diff := cmp.Diff(map[string]float64{"r0": 2, "r1": 1, "r2": 0}, states()); diff != "" {
		t.Errorf("breakers (-want +got):\n%s", diff)
	}
	for n := range metrics.MaxRoutes + 2 {
		m.Streams.BreakerTripped(route(n), time.Now().Add(time.Hour))
	}
	if got := states(); len(got) != metrics.MaxRoutes+1 || got["other"] != 2 {
		t.Errorf("%d breakers have %d series, and the others are at %v; want %d and 2", metrics.MaxRoutes+2, len(got), got["other"], metrics.MaxRoutes+1)
	}
	for n := range metrics.MaxRoutes + 2 {
		m.Streams.BreakerReset(route(n))
	}
	if got := states(); got["other"] != 0 || got["r7"] != 0 {
		t.Errorf("after all were reset, r7 is at %v and the others at %v", got["r7"], got["other"])
	}
}

// A route may have the name under which the other routes are shown.
func TestBreakerOfARouteNamedOther(t *testing.T) {
	t.Parallel()
	m := metrics.New(metrics.Build{})
	others := func() []float64 {
		var all []float64
		for _, series := range family(t, m, "belfry_breaker_state").Metric {
			if label(series, "db") == "other" && label(series, "route") == "other" {
				all = append(all, series.Gauge.GetValue())
			}
		}
		return all
	}
	named := job.RouteKey{DB: "other", ID: "other"}
	m.Streams.BreakerTripped(named, time.Now().Add(-time.Second))
	if diff := cmp.Diff([]float64{1}, others()); diff != "" {
		t.Errorf("it alone (-want +got):\n%s", diff)
	}
	for n := range metrics.MaxRoutes + 2 {
		m.Streams.BreakerTripped(job.RouteKey{DB: "db", ID: fmt.Sprint("r", n)}, time.Now().Add(time.Hour))
	}
	if diff := cmp.Diff([]float64{2}, others()); diff != "" {
		t.Errorf("with others (-want +got):\n%s", diff)
	}
}

func label(series *dto.Metric, name string) string {
	for _, l := range series.Label {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// A value that is not in its list creates no series.
func TestUnknownValues(t *testing.T) {
	t.Parallel()
	m := metrics.New(metrics.Build{})
	m.Streams.Buried("whatever")
	m.Streams.Finished(job.Scheduled)
	m.Streams.Published("CARRIER PIGEON", time.Second)
	m.Delivery.Came(job.RouteKey{DB: "d", ID: "r"}, "vanished", false)
	for name, want := range map[string]int{
		"belfry_dead_letters_total":   len(job.Reasons()),
		"belfry_jobs_finished_total":  5,
		"belfry_timer_fires_total":    2,
		"belfry_delivery_tries_total": len(metrics.Outcomes()),
	} {
		f := family(t, m, name)
		for _, series := range f.Metric {
			if v := series.Counter.GetValue(); v != 0 {
				t.Errorf("%s %v is %v, want 0", name, series.Label, v)
			}
		}
		if len(f.Metric) != want {
			t.Errorf("%s has %d series, want %d", name, len(f.Metric), want)
		}
	}
	m.API.RequestBegan()
	m.API.RequestEnded("BREW", "", http.StatusNotFound, time.Second)
	series := family(t, m, "belfry_api_requests_total").Metric[0]
	if label(series, "method") != "other" || label(series, "path") != "none" || label(series, "status") != "404" {
		t.Errorf("a request of an unknown method and path has the labels %v", series.Label)
	}
}

func TestPartition(t *testing.T) {
	t.Parallel()
	m := metrics.New(metrics.Build{})
	p := m.Streams.Partition(7)
	p.Stands(metrics.Counts{Waiting: 30, Overdue: 20, Held: 5, Firing: 10}, true)
	want := map[string]float64{
		"belfry_timer_partition_owned": 1, "belfry_jobs_waiting": 30, "belfry_jobs_overdue": 20, "belfry_jobs_held": 5, "belfry_jobs_firing": 10,
	}
	for name, value := range want {
		series := family(t, m, name).Metric[0]
		if got := series.Gauge.GetValue(); got != value || label(series, "partition") != "7" {
			t.Errorf("%s is %v, labels %v; want %v of partition 7", name, got, series.Label, value)
		}
	}
	p.NotOwned()
	for name := range want {
		if got := family(t, m, name).Metric[0].Gauge.GetValue(); got != 0 {
			t.Errorf("%s of a partition that is not owned: %v, want 0", name, got)
		}
	}
}
