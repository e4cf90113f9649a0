package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// figures are one contestant's results, in the order that its row's name gives; nil if
// it did not take part.
type figures []float64

// outcome is one measured row.
type outcome struct {
	belfry, native, bare figures
}

// target is a row's goal, in the words of the table.
type target struct {
	text string
	met  func(outcome) bool
}

// atMost and atLeast compare the first of Belfry's figures with the limits.
func atMost(text string, limits ...float64) target {
	return target{text, func(o outcome) bool {
		return !slices.ContainsFunc(pair(o.belfry, limits), func(p [2]float64) bool { return p[0] > p[1] })
	}}
}

func atLeast(text string, limits ...float64) target {
	return target{text, func(o outcome) bool {
		return !slices.ContainsFunc(pair(o.belfry, limits), func(p [2]float64) bool { return p[0] < p[1] })
	}}
}

func pair(a, b []float64) [][2]float64 {
	var pairs [][2]float64
	for i := range min(len(a), len(b)) {
		pairs = append(pairs, [2]float64{a[i], b[i]})
	}
	return pairs
}

// table prints rows as they come, in Markdown.
type table struct{ w io.Writer }

func (t table) head(m machine) {
	fmt.Fprintf(t.w, "%s\n\n", m)
	fmt.Fprintln(t.w, "| work | figures | sync | Belfry | native | bare | ÷ native | ÷ bare | target | others |")
	fmt.Fprintln(t.w, "|---|---|---|---|---|---|---|---|---|---|")
}

// row prints a row. others is the share of the cores that other programs used meanwhile,
// in percent: above a few percent, the row tells little.
func (t table) row(r row, o outcome, others float64) {
	goal := r.target.text
	switch {
	case r.target.met == nil:
	case r.target.met(o):
		goal += ": met"
	default:
		goal += ": **missed**"
	}
	fmt.Fprintf(t.w, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %.0f %% |\n", r.work, r.figures, r.sync,
		o.belfry, o.native, o.bare, ratio(o.belfry, o.native), ratio(o.belfry, o.bare), goal, others)
}

func (f figures) String() string {
	if f == nil {
		return "–"
	}
	var texts []string
	for _, v := range f {
		texts = append(texts, readable(v))
	}
	return strings.Join(texts, " / ")
}

func ratio(a, b figures) string {
	if a == nil || b == nil {
		return ""
	}
	var texts []string
	for _, p := range pair(a, b) {
		if p[1] == 0 {
			texts = append(texts, "–")
			continue
		}
		texts = append(texts, readable(p[0]/p[1]))
	}
	return strings.Join(texts, " / ")
}

// readable rounds to the precision of one run, with commas between thousands.
func readable(v float64) string {
	switch {
	case v == math.Trunc(v) && v < 1000:
		return fmt.Sprintf("%.0f", v)
	case v < 0.1:
		return fmt.Sprintf("%.3f", v)
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// spread returns p50, p99 and the maximum, in milliseconds.
func spread(d []time.Duration) figures {
	if len(d) == 0 {
		return figures{0, 0, 0}
	}
	slices.Sort(d)
	at := func(p float64) float64 {
		i := int(math.Ceil(p*float64(len(d)))) - 1
		return inMs(d[max(i, 0)])
	}
	return figures{at(0.50), at(0.99), at(1)}
}

func inMs(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
