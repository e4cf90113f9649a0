package journal

import (
	"context"
	"runtime"
	"sync"
	"time"

	"belfry/internal/room"
)

// Turns bound walks over many records, and large answers and writes. Each step needs a
// turn, so that such work leaves the processor to others. A nil Turns has no bound.
type Turns struct {
	pool *room.Pool
	// firesSoon reports whether something fires now or within TurnGap.
	firesSoon func() bool

	mu       sync.Mutex
	requests map[*room.Ticket]int // how many turns each has or waits for
}

// If others wait, a turn is followed by a rest turnRest times as long. The rest goes on
// while something fires or is due within TurnGap, but not forever. So a processor is free
// most of the time for fires, even if somebody has hundreds of requests under way; the
// server's locks that a turn takes are free as well. A request that is alone does not
// rest, however much it does at once.
const (
	turnRest = 3
	TurnGap  = 5 * time.Millisecond
	// turnLook is how often a rest looks for a gap.
	turnLook = 2 * time.Millisecond
)

// WalkRest and largeRest are the longest rests. A step of a walk may make the server read
// a block under the lock of a stream. One large message is done sooner, and somebody
// waits for it.
const (
	WalkRest  = 250 * time.Millisecond
	largeRest = 25 * time.Millisecond
)

// NewTurns returns as many turns as there are processors. One db gets at most half of
// them. A request waits for a turn as long as it has time, and a request that does many
// things waits for many turns.
func NewTurns(firesSoon func() bool) *Turns {
	pool := room.New(room.Config{Bytes: max(int64(runtime.GOMAXPROCS(0)), 2), Patience: time.Minute})
	return &Turns{pool: pool, firesSoon: firesSoon, requests: map[*room.Ticket]int{}}
}

// Take waits for a turn for the db that the request works for. over ends the turn, with a
// rest of mostRest at most.
func (t *Turns) Take(ctx context.Context, mostRest time.Duration) (over func(), err error) {
	if t == nil {
		return func() {}, nil
	}
	request := room.Of(ctx).First()
	t.count(request, 1)
	owner := request.Owner()
	took, err := t.pool.Take(ctx, owner, 1)
	if err != nil {
		t.count(request, -1)
		return nil, Unavailable("others read too much", err)
	}
	began := time.Now()
	give := func() { t.pool.Give(owner, took) }
	return func() {
		if others := t.count(request, -1); !others {
			give()
			return
		}
		t.rest(min(turnRest*time.Since(began), mostRest), mostRest, give)
	}, nil
}

// count changes by more how many turns a request has or waits for, and reports whether
// another request has or waits for any.
func (t *Turns) count(request *room.Ticket, more int) (others bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.requests[request] += more
	if t.requests[request] == 0 {
		delete(t.requests, request)
		return len(t.requests) > 0
	}
	return len(t.requests) > 1
}

// rest gives back a turn after a rest of at least least and at most most.
func (t *Turns) rest(least, most time.Duration, give func()) {
	end := time.Now().Add(most - turnLook)
	var look func()
	look = func() {
		if !t.firesSoon() || time.Now().After(end) {
			give()
			return
		}
		time.AfterFunc(turnLook, look)
	}
	time.AfterFunc(least, look)
}
