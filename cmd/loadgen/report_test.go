package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i+1) * time.Millisecond
	}
	for _, tt := range []struct {
		name string
		of   []time.Duration
		p    float64
		want time.Duration
	}{
		{"of none", nil, 50, 0},
		{"of one", []time.Duration{7}, 1, 7},
		{"of one", []time.Duration{7}, 99, 7},
		{"of two", []time.Duration{1, 2}, 50, 1},
		{"of two", []time.Duration{1, 2}, 51, 2},
		{"of a hundred", hundred, 50, 50 * time.Millisecond},
		{"of a hundred", hundred, 99, 99 * time.Millisecond},
		{"of a hundred", hundred, 99.1, 100 * time.Millisecond},
		{"of a hundred", hundred, 100, 100 * time.Millisecond},
	} {
		if got := percentile(tt.of, tt.p); got != milliseconds(tt.want) {
			t.Errorf("percentile %v %s: got %v, want %v", tt.p, tt.name, time.Duration(got), tt.want)
		}
	}
}

// threeJobs are created in 1, 2 and 3 ms, and due at second 10, 11 and 12.
func threeJobs() []creation {
	start := time.UnixMilli(1_700_000_000_000)
	var all []creation
	for i, id := range []string{"a", "b", "c"} {
		all = append(all, creation{
			plannedJob: plannedJob{id: id, due: start.Add(time.Duration(10+i) * time.Second)},
			sent:       start,
			answered:   start.Add(time.Duration(i+1) * time.Millisecond),
		})
	}
	return all
}

// onTime has them arrive 1, 2 and 3 ms late.
func onTime() []arrival {
	var all []arrival
	for i, c := range threeJobs() {
		all = append(all, arrival{job: c.id, fire: "fire-" + c.id, at: c.due.Add(time.Duration(i+1) * time.Millisecond)})
	}
	return all
}

func TestReport(t *testing.T) {
	t.Parallel()
	const ms = milliseconds(time.Millisecond)
	good := func(change func(*report)) report {
		r := report{
			Jobs: 3, Created: 3, CreateRate: 1000, CreateTime: spread{2 * ms, 3 * ms, 3 * ms, 3 * ms},
			Arrived: 3, Lateness: spread{2 * ms, 3 * ms, 3 * ms, 3 * ms},
		}
		change(&r)
		return r
	}
	for _, tt := range []struct {
		name    string
		change  func([]creation, []arrival) []arrival
		want    report
		verdict string // "" is a good run
	}{
		{
			"good",
			func(_ []creation, a []arrival) []arrival { return a },
			good(func(*report) {}),
			"",
		},
		{
			"one lost",
			func(_ []creation, a []arrival) []arrival { return a[:2] },
			good(func(r *report) { r.Arrived, r.Lost, r.Lateness = 2, 1, spread{ms, 2 * ms, 2 * ms, 2 * ms} }),
			"1 jobs are lost",
		},
		{
			"one fire twice",
			func(_ []creation, a []arrival) []arrival { return append(a, a[0]) },
			good(func(r *report) { r.Twice = 1 }),
			"1 arrivals are repeats",
		},
		{
			"one job fired twice",
			func(_ []creation, a []arrival) []arrival {
				return append(a, arrival{job: "a", fire: "another", at: a[0].at})
			},
			good(func(r *report) { r.Twice = 1 }),
			"1 arrivals are repeats",
		},
		{
			"one early by a millisecond",
			func(_ []creation, a []arrival) []arrival { a[0].at = a[0].at.Add(-2 * time.Millisecond); return a },
			good(func(r *report) { r.Early, r.Lateness.P50 = 1, 2*ms }),
			"1 jobs arrived early",
		},
		{
			"one not created",
			func(c []creation, a []arrival) []arrival { c[2].err = errors.New("status 503"); return a[:2] },
			good(func(r *report) {
				r.Created, r.Arrived, r.CreateRate = 2, 2, 2000.0/3
				r.CreateTime = spread{ms, 2 * ms, 2 * ms, 2 * ms}
				r.Lateness = spread{ms, 2 * ms, 2 * ms, 2 * ms}
			}),
			"1 jobs were not created, the first with: status 503",
		},
		{
			"one created too late",
			func(c []creation, a []arrival) []arrival {
				c[0].answered = c[0].due.Add(time.Second) // 11 s after it was sent
				return a
			},
			good(func(r *report) {
				r.CreateRate = 3.0 / 11
				r.CreateTime = spread{3 * ms, 11000 * ms, 11000 * ms, 11000 * ms}
				r.Overdue, r.Lateness.P50 = 1, 2*ms
			}),
			"1 jobs were due before they were created: raise --ahead",
		},
		{
			"one of somebody else",
			func(_ []creation, a []arrival) []arrival { return append(a, arrival{job: "x"}) },
			good(func(r *report) { r.Strange = 1 }),
			"1 arrivals are of no job of this run",
		},
		{
			"none arrived",
			func([]creation, []arrival) []arrival { return nil },
			good(func(r *report) { r.Arrived, r.Lost, r.Lateness = 0, 3, spread{} }),
			"3 jobs are lost",
		},
	} {
		creations := threeJobs()
		arrivals := tt.change(creations, onTime())
		got := newReport(creations, arrivals)
		if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreUnexported(report{})); diff != "" {
			t.Errorf("%s: report (-want +got):\n%s", tt.name, diff)
		}
		if err := got.verdict(limits{}); errorText(err) != tt.verdict {
			t.Errorf("%s: verdict is %q, want %q", tt.name, errorText(err), tt.verdict)
		}
	}
}

func TestVerdictOnLateness(t *testing.T) {
	t.Parallel()
	r := newReport(threeJobs(), onTime()) // p50 2 ms, p99 3 ms
	for _, tt := range []struct {
		limits limits
		want   string
	}{
		{limits{}, ""},
		{limits{p50: 2 * time.Millisecond, p99: 3 * time.Millisecond}, ""},
		{limits{p50: 2*time.Millisecond - 1}, "lateness p50 is 2.00 ms, over 1.999999ms"},
		{limits{p99: time.Millisecond}, "lateness p99 is 3.00 ms, over 1ms"},
		{limits{p50: 1, p99: 1}, "lateness p50 is 2.00 ms, over 1ns\nlateness p99 is 3.00 ms, over 1ns"},
	} {
		if got := errorText(r.verdict(tt.limits)); got != tt.want {
			t.Errorf("verdict with %+v: got %q, want %q", tt.limits, got, tt.want)
		}
	}
}

func TestOutput(t *testing.T) {
	t.Parallel()
	r := newReport(threeJobs(), onTime())
	var table, object strings.Builder
	if err := errors.Join(r.writeTable(&table), r.writeJSON(&object)); err != nil {
		t.Fatal(err)
	}
	const wantTable = `created   3 of 3       1000 /s      p50 2.00 ms  p99 3.00 ms
arrived   3            lost 0       twice 0      early 0
lateness  p50 2.00 ms  p90 3.00 ms  p99 3.00 ms  max 3.00 ms
`
	if diff := cmp.Diff(wantTable, table.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	const wantObject = `{"jobs":3,"created":3,"created_per_second":1000,"create_time":{"p50_ms":2,"p90_ms":3,"p99_ms":3,"max_ms":3},` +
		`"arrived":3,"lost":0,"twice":0,"early":0,"strange":0,"overdue":0,"lateness":{"p50_ms":2,"p90_ms":3,"p99_ms":3,"max_ms":3}}` + "\n"
	if diff := cmp.Diff(wantObject, object.String()); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
