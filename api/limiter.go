package api

import (
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limiter lets each caller make a set number of requests a second, and as many at
// once. nil lets everything through. It is safe for concurrent use.
type limiter struct {
	perSecond int

	mu      sync.Mutex // guards what follows
	callers map[string]*rate.Limiter
	crowd   *rate.Limiter // for all callers beyond maxCallers
	swept   time.Time
}

// maxCallers bounds the memory of a limiter, to about 2 MiB: callers beyond it
// share one rate.
const maxCallers = 10_000

// newLimiter returns a limiter; 0 requests a second is no limit.
func newLimiter(perSecond int) *limiter {
	if perSecond == 0 {
		return nil
	}
	l := &limiter{perSecond: perSecond, callers: map[string]*rate.Limiter{}}
	l.crowd = l.fresh()
	return l
}

func (l *limiter) fresh() *rate.Limiter { return rate.NewLimiter(rate.Limit(l.perSecond), l.perSecond) }

func (l *limiter) String() string { return strconv.Itoa(l.perSecond) }

// take counts a request of the caller. It returns 0, or how long the caller must wait
// before the next one; in that case this request does not count.
func (l *limiter) take(caller string, now time.Time) time.Duration {
	if l == nil {
		return 0
	}
	reserved := l.of(caller, now).ReserveN(now, 1)
	wait := reserved.DelayFrom(now)
	if wait > 0 {
		reserved.CancelAt(now)
	}
	return wait
}

func (l *limiter) of(caller string, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one := l.callers[caller]; one != nil {
		return one
	}
	if len(l.callers) >= maxCallers {
		l.sweep(now)
	}
	if len(l.callers) >= maxCallers {
		return l.crowd
	}
	one := l.fresh()
	l.callers[caller] = one
	return one
}

// sweep forgets the callers that could make all their requests at once again, as if
// they had never come. It runs at most once a second: that takes as long.
func (l *limiter) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Second {
		return
	}
	l.swept = now
	for caller, one := range l.callers {
		if one.TokensAt(now) >= float64(l.perSecond) {
			delete(l.callers, caller)
		}
	}
}
