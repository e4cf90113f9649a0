package delivery

import (
	"context"
	"sync"
)

// slots are the places for the fires of one pool. Their number can change. They are
// safe for concurrent use.
type slots struct {
	// turn holds a token while a caller waits for a place, so that callers get their
	// places in the order they came.
	turn chan struct{}

	mu    sync.Mutex // guards what follows
	limit int
	used  int
	more  chan struct{} // closed when a place may have become free
}

func newSlots() *slots { return &slots{turn: make(chan struct{}, 1), more: make(chan struct{})} }

// resize changes the number and reports whether it shrank. Places in use beyond the
// new number are not filled again.
func (s *slots) resize(limit int) (shrank bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shrank = limit < s.limit
	s.limit = limit
	s.wake()
	return shrank
}

// reserve waits for a free place and takes all that are free; it takes none when ctx
// ends.
func (s *slots) reserve(ctx context.Context) int {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return 0
	}
	for ctx.Err() == nil {
		s.mu.Lock()
		free, more := s.limit-s.used, s.more
		if free > 0 {
			s.used = s.limit
			s.mu.Unlock()
			return free
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-more:
		}
	}
	return 0
}

// release gives back n places.
func (s *slots) release(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= n
	s.wake()
}

func (s *slots) wake() {
	close(s.more)
	s.more = make(chan struct{})
}
