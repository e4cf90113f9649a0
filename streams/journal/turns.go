package journal

import (
	"context"
	"runtime"
	"sync"
	"time"

	"belfry/internal/room"
)

// Turns are those of walks over many records, and of large answers and writes: at
// each step one is needed, so that they leave the processor to others. nil is no
// bound.
type Turns struct {
	pool *room.Pool
	// firesSoon reports whether something fires now or within TurnGap.
	firesSoon func() bool

	mu       sync.Mutex
	requests map[*room.Ticket]int // how many turns each has or waits for
}

// While others wait, a turn is followed by a rest of turnRest times as long, which
// goes on for as long as something fires or is due within TurnGap, but not for ever. A
// processor is then free most of the time for what fires, whoever has hundreds of
// requests under way, and what a turn locks in the server is free as well. A request that is alone does not rest, however much it does at once.
const (
	turnRest = 3
	TurnGap  = 5 * time.Millisecond
	// turnLook is how often a rest looks for a gap.
	turnLook = 2 * time.Millisecond
)

// The most that a rest takes. A step of a walk may have the server read a block under
// the lock of a stream; one large message is sooner done, and has somebody wait.
const (
	WalkRest  = 250 * time.Millisecond
	largeRest = 25 * time.Millisecond
)

// NewTurns returns as many turns as there are processors. Half of them are for one
// db at most. A turn is waited for as long as the request has time: one that does
// many things has many of them wait.
func NewTurns(firesSoon func() bool) *Turns {
	pool := room.New(room.Config{Bytes: max(int64(runtime.GOMAXPROCS(0)), 2), Patience: time.Minute})
	return &Turns{pool: pool, firesSoon: firesSoon, requests: map[*room.Ticket]int{}}
}

// Take waits for a turn of the db that the request works for. over ends it, with a
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

// count notes that a request has or waits for so many turns more, and reports
// whether another one does.
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

// rest gives back a turn after a rest of at least and at most so long.
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
