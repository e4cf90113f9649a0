package room

import (
	"context"
	"sync"
)

// Ticket is what one request holds of a pool. nil, and one of a nil pool, hold
// nothing and refuse nothing. It is safe for concurrent use.
type Ticket struct {
	pool  *Pool
	owner string
	first *Ticket // of the same request; nil is this one

	mu   sync.Mutex // guards held
	held int64
}

// Ticket returns a ticket that holds nothing yet, to be closed in the end.
func (p *Pool) Ticket(owner string) *Ticket { return &Ticket{pool: p, owner: owner} }

// Beside returns another ticket of the same owner, for a part of the request.
func (t *Ticket) Beside() *Ticket {
	if t == nil {
		return nil
	}
	return &Ticket{pool: t.pool, owner: t.owner, first: t.First()}
}

// First returns the ticket that this one was made from with Beside, or the ticket
// itself. It tells one request from another.
func (t *Ticket) First() *Ticket {
	if t == nil || t.first == nil {
		return t
	}
	return t.first
}

// Owner returns the owner that the ticket holds room for.
func (t *Ticket) Owner() string {
	if t == nil {
		return ""
	}
	return t.owner
}

// Held returns how much it holds.
func (t *Ticket) Held() int64 {
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held
}

// Add takes n bytes more, as [Pool.Take] does.
func (t *Ticket) Add(ctx context.Context, n int64) error {
	if t == nil {
		return nil
	}
	took, err := t.pool.Take(ctx, t.owner, n)
	t.note(took)
	return err
}

// TryAdd takes n bytes more if there is room for them now.
func (t *Ticket) TryAdd(n int64) bool {
	if t == nil {
		return true
	}
	if !t.pool.TryTake(t.owner, n) {
		return false
	}
	t.note(n)
	return true
}

func (t *Ticket) note(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pool != nil {
		t.held += n
	}
}

// Keep gives back what it holds beyond n.
func (t *Ticket) Keep(n int64) {
	if t == nil {
		return
	}
	t.mu.Lock()
	more := max(t.held-max(n, 0), 0)
	t.held -= more
	t.mu.Unlock()
	t.pool.Give(t.owner, more)
}

// Settle makes the ticket hold exactly n bytes, which exist already: it refuses
// nothing.
func (t *Ticket) Settle(n int64) {
	if t == nil || t.pool == nil {
		return
	}
	t.Keep(n)
	t.mu.Lock()
	more := max(n-t.held, 0)
	t.held += more
	t.mu.Unlock()
	t.pool.Force(t.owner, more)
}

// Close gives back everything.
func (t *Ticket) Close() { t.Keep(0) }

type ticketKey struct{}

// With returns a context that carries the ticket of a request.
func With(ctx context.Context, t *Ticket) context.Context {
	return context.WithValue(ctx, ticketKey{}, t)
}

// Of returns the ticket of the request that ctx belongs to, or nil.
func Of(ctx context.Context) *Ticket {
	t, _ := ctx.Value(ticketKey{}).(*Ticket)
	return t
}
