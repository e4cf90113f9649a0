// Package logqueue keeps a log from holding up the program that writes it. Lines wait
// in a bounded queue for their reader. They are dropped and counted when the reader
// is too slow or has stopped reading.
//
// Waiting lines are lost with the process, unless [Queue.Close] has written them.
package logqueue

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"syscall"
	"time"
)

// limit bounds what waits, in bytes; a line takes perLine on top of its text.
const (
	limit   = 1 << 20
	perLine = 64
)

// full is how long the queue waits before it writes again to a file that takes
// nothing and has no way to wait for it.
const full = 10 * time.Millisecond

// Queue is an [io.Writer] that never blocks and never fails. It is safe for
// concurrent use.
type Queue struct {
	out  io.Writer
	tell func(dropped uint64) []byte

	ended chan struct{} // closed when all is written, after Close
	more  chan struct{} // says that there is something to do

	mu      sync.Mutex // guards what follows
	lines   [][]byte
	size    int    // of the lines, and of the one that is being written
	dropped uint64 // in all
	untold  uint64 // of them, those that tell has not told yet
	closed  bool
}

// New returns a queue that writes to out. tell makes the line that says how many
// lines were dropped; it is written when out takes lines again. With a nil tell there
// is no such line.
func New(out io.Writer, tell func(dropped uint64) []byte) *Queue {
	q := &Queue{out: out, tell: tell, ended: make(chan struct{}), more: make(chan struct{}, 1)}
	go q.run()
	return q
}

// Write takes one line, or drops it.
func (q *Queue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if room := len(line) + perLine; q.closed || q.size+room > limit {
		q.drop()
	} else {
		q.size += room
		q.lines = append(q.lines, bytes.Clone(line))
		q.wake()
	}
	return len(line), nil
}

// Dropped returns the number of lines that nobody will see.
func (q *Queue) Dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// Close writes the waiting lines, for a bounded time, and takes no more.
func (q *Queue) Close(within time.Duration) {
	q.mu.Lock()
	q.closed = true
	q.wake()
	q.mu.Unlock()
	select {
	case <-q.ended:
	case <-time.After(within): // its goroutine goes with the process
	}
}

// wake and drop are called with q.mu held.
func (q *Queue) wake() {
	select {
	case q.more <- struct{}{}:
	default:
	}
}

func (q *Queue) drop() {
	q.dropped++
	q.untold++
}

func (q *Queue) run() {
	defer close(q.ended)
	for range q.more {
		for q.writeNext() {
		}
		q.mu.Lock()
		over := q.closed && len(q.lines) == 0
		q.mu.Unlock()
		if over {
			return
		}
	}
}

// writeNext writes a line, or after the last one how many were dropped. It returns
// false if there is nothing to write.
func (q *Queue) writeNext() bool {
	q.mu.Lock()
	if len(q.lines) == 0 {
		untold := q.untold
		q.untold = 0
		q.mu.Unlock()
		if untold > 0 && q.tell != nil && !q.writeOut(q.tell(untold)) {
			q.mu.Lock()
			q.untold += untold
			q.mu.Unlock()
		}
		return false
	}
	line := q.lines[0]
	q.lines = q.lines[1:]
	q.mu.Unlock()
	written := q.writeOut(line)
	q.mu.Lock()
	q.size -= len(line) + perLine
	if !written {
		q.drop()
	}
	q.mu.Unlock()
	return true
}

// writeOut writes a line, however long that takes, or returns false if it cannot be
// written.
func (q *Queue) writeOut(line []byte) bool {
	for {
		n, err := q.out.Write(line)
		if line = line[n:]; len(line) == 0 {
			return true
		}
		if err == nil {
			err = io.ErrShortWrite
		}
		if !errors.Is(err, syscall.EAGAIN) {
			return false
		}
		time.Sleep(full)
	}
}
