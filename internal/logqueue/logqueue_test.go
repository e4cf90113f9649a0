package logqueue_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"belfry/internal/logqueue"
)

// reader takes lines while it is open, and as much of each as the test allows.
type reader struct {
	mu    sync.Mutex
	open  *sync.Cond
	shut  bool
	fail  error
	some  int // take so many bytes at a time, and say EAGAIN
	lines strings.Builder
}

func newReader() *reader {
	r := &reader{}
	r.open = sync.NewCond(&r.mu)
	return r
}

func (r *reader) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.shut {
		r.open.Wait()
	}
	if r.fail != nil {
		return 0, r.fail
	}
	if r.some > 0 && len(p) > r.some {
		r.lines.Write(p[:r.some])
		return r.some, fmt.Errorf("write: %w", syscall.EAGAIN)
	}
	return r.lines.Write(p)
}

func (r *reader) set(shut bool, fail error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shut, r.fail = shut, fail
	r.open.Broadcast()
}

func (r *reader) got() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines.String()
}

func told(n uint64) []byte { return fmt.Appendf(nil, "dropped %d\n", n) }

// A reader that reads nothing holds up nobody. Lines that fit wait for it, in order;
// the number of dropped lines follows them.
func TestReaderThatStopsReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newReader()
		q := logqueue.New(r, told)
		r.set(true, nil)
		line := strings.Repeat("x", 1023) + "\n"
		const n = 2000
		for i := range n {
			if got, err := fmt.Fprintf(q, "%d %s", i, line); err != nil || got == 0 {
				t.Fatalf("Write = %d, %v", got, err)
			}
		}
		synctest.Wait()
		dropped := q.Dropped()
		if kept := (n - int(dropped)) * len(line); kept > 1<<20 || kept < 1<<19 {
			t.Errorf("%d bytes are kept of %d lines, want 1 MiB at most, and not much less", kept, n)
		}
		r.set(false, nil)
		synctest.Wait()
		lines := strings.SplitAfter(r.got(), "\n")
		for i, l := range lines[:n-int(dropped)] {
			if l != fmt.Sprintf("%d %s", i, line) {
				t.Fatalf("line %d is %.20q", i, l)
			}
		}
		if got, want := strings.Join(lines[n-int(dropped):], ""), fmt.Sprintf("dropped %d\n", dropped); got != want {
			t.Errorf("behind them: %q, want %q", got, want)
		}
		fmt.Fprint(q, "next\n")
		q.Close(time.Second)
		if !strings.HasSuffix(r.got(), fmt.Sprintf("dropped %d\nnext\n", dropped)) {
			t.Errorf("at the end: %q", r.got()[len(r.got())-100:])
		}
	})
}

// A reader that has left, or a full disk, costs the lines and nothing else.
func TestReaderThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newReader()
		q := logqueue.New(r, told)
		r.set(false, errors.New("broken pipe"))
		for range 3 {
			fmt.Fprint(q, "lost\n")
			synctest.Wait()
		}
		if got := q.Dropped(); got != 3 {
			t.Errorf("%d lines were dropped, want 3", got)
		}
		r.set(false, nil)
		fmt.Fprint(q, "kept\n")
		q.Close(time.Second)
		if got, want := r.got(), "kept\ndropped 3\n"; got != want {
			t.Errorf("written: %q, want %q", got, want)
		}
		fmt.Fprint(q, "late\n")
		if got := q.Dropped(); got != 4 {
			t.Errorf("%d lines were dropped, want 4: nothing is taken behind the end", got)
		}
	})
}

// A file without readiness may take a line in parts, and has the whole line at the
// end.
func TestFileThatTakesParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newReader()
		r.some = 3
		q := logqueue.New(r, nil)
		fmt.Fprint(q, "one line\n")
		fmt.Fprint(q, "another\n")
		q.Close(time.Second)
		if got := r.got(); got != "one line\nanother\n" || q.Dropped() != 0 {
			t.Errorf("written: %q", got)
		}
	})
}

// Close waits for the reader, for a bounded time.
func TestCloseIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newReader()
		q := logqueue.New(r, told)
		r.set(true, nil)
		fmt.Fprint(q, "line\n")
		began := time.Now()
		q.Close(2 * time.Second)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("Close took %v, want its 2 s", took)
		}
		r.set(false, nil)
		q.Close(time.Second) // a second time, it finds all written
		if r.got() != "line\n" {
			t.Errorf("written: %q", r.got())
		}
	})
}
