package api

import (
	"time"

	"belfry/internal/job"
)

// Needs returns the role that an endpoint needs by the table, or "" if it is open
// to all.
func Needs(endpoint string) (role job.Role, ok bool) {
	n, ok := needs[endpoint]
	return n.role, ok
}

// Limiter is for its test.
type Limiter struct{ *limiter }

func NewLimiter(perSecond int) Limiter { return Limiter{newLimiter(perSecond)} }

func (l Limiter) Take(caller string, now time.Time) time.Duration { return l.take(caller, now) }

func (l Limiter) Callers() int { return len(l.callers) }
