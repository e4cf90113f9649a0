package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"
)

// report is the result of a run. Its counts are of jobs, except Twice.
type report struct {
	Jobs       int     `json:"jobs"`
	Created    int     `json:"created"` // answered 200
	CreateRate float64 `json:"created_per_second"`
	CreateTime spread  `json:"create_time"`

	Arrived int `json:"arrived"`
	Lost    int `json:"lost"`    // created, but never arrived
	Twice   int `json:"twice"`   // arrivals beyond the first of their job
	Early   int `json:"early"`   // arrived before their due time
	Strange int `json:"strange"` // arrivals of jobs that are not of this run

	// Overdue counts jobs that were created after they were due. They say nothing about
	// the lateness of a timer, so they are left out of it.
	Overdue  int    `json:"overdue"`
	Lateness spread `json:"lateness"`

	firstFailure error // the first failure to create a job
}

// spread describes a set of durations.
type spread struct {
	P50 milliseconds `json:"p50_ms"`
	P90 milliseconds `json:"p90_ms"`
	P99 milliseconds `json:"p99_ms"`
	Max milliseconds `json:"max_ms"`
}

type milliseconds time.Duration

func (m milliseconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(float64(m) / float64(time.Millisecond))
}

func (m milliseconds) String() string {
	return fmt.Sprintf("%.2f ms", float64(m)/float64(time.Millisecond))
}

// newReport compares what was created with what arrived.
func newReport(creations []creation, arrivals []arrival) report {
	first := map[string]arrival{}
	r := report{Jobs: len(creations), Created: created(creations)}
	for _, a := range arrivals {
		if _, again := first[a.job]; again {
			r.Twice++
			continue
		}
		first[a.job] = a
	}

	var creating, late []time.Duration
	var begin, end time.Time
	for _, c := range creations {
		a, came := first[c.id]
		delete(first, c.id)
		if begin.IsZero() || c.sent.Before(begin) {
			begin = c.sent
		}
		if c.answered.After(end) {
			end = c.answered
		}
		switch {
		case c.err == nil:
			creating = append(creating, c.answered.Sub(c.sent))
		case r.firstFailure == nil:
			r.firstFailure = c.err
		}
		if !came {
			if c.err == nil {
				r.Lost++
			}
			continue
		}
		r.Arrived++
		if a.at.Before(c.due) {
			r.Early++
		}
		if c.answered.After(c.due) {
			r.Overdue++
			continue
		}
		late = append(late, a.at.Sub(c.due))
	}
	r.Strange = len(first)
	if end.After(begin) {
		r.CreateRate = float64(r.Created) / end.Sub(begin).Seconds()
	}
	r.CreateTime, r.Lateness = newSpread(creating), newSpread(late)
	return r
}

func newSpread(d []time.Duration) spread {
	slices.Sort(d)
	return spread{percentile(d, 50), percentile(d, 90), percentile(d, 99), percentile(d, 100)}
}

// percentile returns the least of the sorted durations that p percent do not exceed, and
// 0 for an empty list.
func percentile(sorted []time.Duration, p float64) milliseconds {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return milliseconds(sorted[max(rank, 1)-1])
}

// limits are the latest that is acceptable; 0 is no limit.
type limits struct{ p50, p99 time.Duration }

// verdict returns everything that is wrong with the run, or nil.
func (r report) verdict(l limits) error {
	var wrong []error
	fault := func(is bool, format string, args ...any) {
		if is {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	fault(r.Created < r.Jobs, "%d jobs were not created, the first with: %v", r.Jobs-r.Created, r.firstFailure)
	fault(r.Lost > 0, "%d jobs are lost", r.Lost)
	fault(r.Twice > 0, "%d arrivals are repeats", r.Twice)
	fault(r.Early > 0, "%d jobs arrived early", r.Early)
	fault(r.Strange > 0, "%d arrivals are of no job of this run", r.Strange)
	fault(r.Overdue > 0, "%d jobs were due before they were created: raise --ahead", r.Overdue)
	fault(l.p50 > 0 && time.Duration(r.Lateness.P50) > l.p50, "lateness p50 is %v, over %v", r.Lateness.P50, l.p50)
	fault(l.p99 > 0 && time.Duration(r.Lateness.P99) > l.p99, "lateness p99 is %v, over %v", r.Lateness.P99, l.p99)
	return errors.Join(wrong...)
}

func (r report) writeJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

func (r report) writeTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "created\t%d of %d\t%.0f /s\tp50 %v\tp99 %v\n", r.Created, r.Jobs, r.CreateRate, r.CreateTime.P50, r.CreateTime.P99)
	fmt.Fprintf(t, "arrived\t%d\tlost %d\ttwice %d\tearly %d\n", r.Arrived, r.Lost, r.Twice, r.Early)
	fmt.Fprintf(t, "lateness\tp50 %v\tp90 %v\tp99 %v\tmax %v\n", r.Lateness.P50, r.Lateness.P90, r.Lateness.P99, r.Lateness.Max)
	return t.Flush()
}
