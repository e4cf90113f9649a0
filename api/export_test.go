package api

import (
	"time"

	"belfry/internal/job"
)

// Needs returns the role that an endpoint needs by the table, or "" if it is open to
// everybody.
func Needs(endpoint string) (role job.Role, ok bool) {
	n, ok := needs[endpoint]
	return n.role, ok
}

// Row is an endpoint's row. MaxBody is how much of a body it reads; -1 is all.
type Row struct {
	Operation, Endpoint string
	Role                job.Role
	MaxBody             int64
}

// Rows returns the table of endpoints.
func Rows(ops Operations) (rows []Row) {
	a := &api{Config: Config{Operations: ops}}
	for _, e := range endpoints {
		row := Row{e.operation, e.asked, e.needs.role, a.bytes(e.body)}
		if e.body == anyLength {
			row.MaxBody = -1
		}
		rows = append(rows, row)
	}
	return rows
}

// Limiter exports the limiter for its test.
type Limiter struct{ *limiter }

func NewLimiter(perSecond int) Limiter { return Limiter{newLimiter(perSecond)} }

func (l Limiter) Take(caller string, now time.Time) time.Duration { return l.take(caller, now) }

func (l Limiter) Callers() int { return len(l.callers) }
