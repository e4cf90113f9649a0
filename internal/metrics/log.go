package metrics

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Log records the log lines that are dropped.
type Log struct {
	dropped atomic.Pointer[func() uint64]
}

func newLog(s *set) *Log {
	l := &Log{}
	const name, help = "belfry_log_lines_dropped_total", "Lines of the log that were dropped, since nobody read them."
	s.add(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 {
		if count := l.dropped.Load(); count != nil {
			return float64((*count)())
		}
		return 0
	}), Metric{name, "counter", nil, help})
	return l
}

// CountDropped sets the function that returns how many lines were dropped.
func (l *Log) CountDropped(count func() uint64) { l.dropped.Store(&count) }
