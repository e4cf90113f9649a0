package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"
)

// summary is a run in numbers.
type summary struct {
	jobs     int
	outcomes map[op]map[outcome]int
	arrived  int // jobs
	repeats  int // arrivals of a fire that had arrived before
	refusals int // tries that the receiver refused
	fires    int
	latest   map[faultKind]late // by the fault that the job met, or noFault
}

// noFault stands for jobs that came due far from all faults.
const noFault faultKind = "no fault"

// late is a job that arrived late.
type late struct {
	by    time.Duration
	job   string
	route string
	due   time.Time
}

func (l late) String() string {
	if l.job == "" {
		return "0s"
	}
	return fmt.Sprintf("%v (%s job %s, due %s)", l.by.Round(time.Millisecond), l.route, l.job, l.due.Format(clock))
}

func (l late) max(m late) late {
	if m.by > l.by {
		return m
	}
	return l
}

// summarize counts. A job's lateness is measured from its trigger time, or from the last
// answer to its client if that came later. A job has met a fault if it came due during
// it, or in the second before, when its fire may still be under way, or until settle
// after it.
func summarize(h history, faults []window, settle time.Duration) summary {
	s := summary{jobs: len(h.jobs), outcomes: map[op]map[outcome]int{}, latest: map[faultKind]late{}, fires: len(h.fires)}
	type key struct {
		id      string
		content int
	}
	from, routes := map[key]time.Time{}, map[string]string{}
	for _, t := range h.jobs {
		routes[t.id] = t.route
		for _, a := range t.asked {
			if s.outcomes[a.op] == nil {
				s.outcomes[a.op] = map[outcome]int{}
			}
			s.outcomes[a.op][a.outcome]++
			from[key{t.id, a.content}] = a.due
			if a.ended.After(a.due) {
				from[key{t.id, a.content}] = a.ended
			}
		}
	}
	seen, tried := map[string]bool{}, map[string]bool{}
	for _, a := range h.arrivals {
		if a.refused {
			s.refusals++
		}
		if try := a.fireID + " " + a.attempt; tried[try] {
			s.repeats++
		} else {
			tried[try] = true
		}
		due, known := from[key{a.job, a.content}]
		if seen[a.job] || !known {
			continue
		}
		seen[a.job] = true
		s.arrived++
		met := metBy(faults, due, settle)
		s.latest[met] = s.latest[met].max(late{a.at.Sub(due), a.job, routes[a.job], due})
	}
	return s
}

// metBy returns the last of the faults that a job due then has met.
func metBy(faults []window, due time.Time, settle time.Duration) faultKind {
	met := noFault
	for _, w := range faults {
		if !due.Before(w.from.Add(-time.Second)) && due.Before(w.to.Add(settle)) {
			met = w.kind
		}
	}
	return met
}

func (s summary) write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "jobs\t%d\n", s.jobs)
	for _, o := range []op{opCreate, opChange, opCancel} {
		fmt.Fprintf(w, "%s\t%d acknowledged\t%d too late\t%d unknown\t%d not done\n", o,
			s.outcomes[o][acked], s.outcomes[o][tooLate], s.outcomes[o][unknown], s.outcomes[o][notDone])
	}
	fmt.Fprintf(w, "arrived\t%d jobs\t%d repeats\t%d tries refused\t%d in FIRES\n", s.arrived, s.repeats, s.refusals, s.fires)
	if err := w.Flush(); err != nil {
		return err
	}
	for _, kind := range slices.Sorted(maps.Keys(s.latest)) {
		fmt.Fprintf(w, "latest with %s\t%v\n", kind, s.latest[kind])
	}
	return w.Flush()
}
