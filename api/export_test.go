package api

import "time"

// Limiter is for its test.
type Limiter struct{ *limiter }

func NewLimiter(perSecond int) Limiter { return Limiter{newLimiter(perSecond)} }

func (l Limiter) Take(caller string, now time.Time) time.Duration { return l.take(caller, now) }

func (l Limiter) Callers() int { return len(l.callers) }
