package delivery_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"belfry/delivery"
	"belfry/internal/job"
	"belfry/internal/logtest"
)

// While this machine is out of files, sockets or ports, tries are put off: they use no
// attempt, write nothing, and are no failures of the endpoint, and the log says so
// once a minute. Afterwards they are made.
func TestShortageOfThisMachinePutsTriesOff(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		err  error
		says string
	}{
		{"open files", os.NewSyscallError("socket", syscall.EMFILE), "too many open files"},
		{"open files of all", os.NewSyscallError("socket", syscall.ENFILE), "too many open files in system"},
		{"buffers", os.NewSyscallError("connect", syscall.ENOBUFS), "no buffer space"},
		{"memory", os.NewSyscallError("socket", syscall.ENOMEM), "cannot allocate memory"},
		{"ports", os.NewSyscallError("connect", syscall.EADDRNOTAVAIL), "cannot assign requested address"},
		{"a look-up", &net.DNSError{Err: "dial udp 127.0.0.1:53: socket: too many open files", Name: "h.example", Server: "127.0.0.1:53"}, "too many open files"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const fires = 40 // a breaker trips after twenty failures
				s := newStore(t)
				var logged logtest.Log
				short := s.runShort(delivery.Config{Log: logged.Logger()}, tt.err)
				key := s.addPolicy("r", "http://h.example/", job.Policy{Retry: job.RetryPolicy{MaxAttempts: 1}})
				for range fires {
					s.fire(key)
				}
				time.Sleep(2*time.Minute + 30*time.Second)
				if got := get(s, func() string { return fmt.Sprint(s.finishes, len(s.acked), len(s.attempts), len(s.tripped)) }); got != "0 0 0 0" {
					t.Errorf("writes, acks, attempts and trips of the breaker meanwhile: got %s, want none", got)
				}
				// Four slots: after about 2, 5, 10, 20, 25 … seconds each.
				if n := short.dials.Load(); n < 4*5 || n > 4*12 {
					t.Errorf("%d calls in two and a half minutes, want them to grow rare", n)
				}
				if n := get(s, func() int { return s.extended }); n < 4*140 {
					t.Errorf("four fires were held on to %d times, want once a second each", n)
				}
				const line = "this machine cannot call webhooks"
				if log := logged.String(); strings.Count(log, line) > 3 || !strings.Contains(log, tt.says) || !strings.Contains(log, "ERROR") {
					t.Errorf("log: got %s\nwant an ERROR a minute that says %q", log, tt.says)
				}
				short.ends()
				began := time.Now()
				for n := range fires {
					if got := s.awaitResult(n + 1); got.Status != job.Delivered {
						t.Fatalf("result %d afterwards: got %+v, want delivered", n+1, got)
					}
				}
				if took := time.Since(began); took > 31*time.Second {
					t.Errorf("the last try was made %v after the shortage", took)
				}
			})
		})
	}
}

// shortage is a shortage that lasts until it is ended.
type shortage struct {
	over  atomic.Bool
	dials atomic.Int64
}

func (s *shortage) ends() { s.over.Store(true) }

// runShort runs a manager on a machine that cannot connect, with that error, until
// the shortage ends. Then everything is delivered.
func (s *store) runShort(cfg delivery.Config, err error) *shortage {
	sh := &shortage{}
	rec := newReceiver(s.t, nil)
	s.run(cfg, rec.dial, func(m *delivery.Manager) {
		dial := m.Transport().DialContext
		m.Transport().DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if !sh.over.Load() {
				sh.dials.Add(1)
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
			}
			return dial(ctx, network, address)
		}
	})
	return sh
}

var noFiles = os.NewSyscallError("socket", syscall.EMFILE)

// A fire that waits for the end of a shortage is settled when its route, its breaker or
// its job say so, and after five minutes at the next go, without a try. A job that is
// put back is due when it was.
func TestWhatEndsAWaitForAShortage(t *testing.T) {
	t.Parallel()
	due := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() // when the clock of a bubble starts
	back := job.Result{Status: job.Scheduled, RetryAt: due, Reason: job.ReasonFailed, Detail: "status 500"}
	limited := job.Policy{RateLimit: job.RateLimit{PerSecond: 1, Burst: 1}}
	for _, tt := range []struct {
		name        string
		policy      job.Policy
		change      func(*store, job.RouteKey) // after ten seconds
		want        job.Result                 // the zero is none
		least, most time.Duration
	}{
		{"a pause", job.Policy{}, func(s *store, k job.RouteKey) {
			s.change(func() {
				r := s.routes[k]
				r.Paused = true
				s.routes[k] = r
			})
		}, back, 10 * time.Second, 13 * time.Second},
		{"a breaker", job.Policy{}, func(s *store, k job.RouteKey) {
			_ = s.Trip(t.Context(), k, time.Now().Add(10*time.Second))
		}, back, 10 * time.Second, 13 * time.Second},
		// Then one fire at a time comes, from the timer.
		{"a breaker whose pause is over", job.Policy{}, func(s *store, k job.RouteKey) {
			_ = s.Trip(t.Context(), k, time.Now())
		}, back, 10 * time.Second, 13 * time.Second},
		{"its lateness", job.Policy{MaxLateness: 20 * time.Second}, nil, job.Result{Status: job.Expired}, 20 * time.Second, 23 * time.Second},
		{"the route is deleted", job.Policy{}, func(s *store, k job.RouteKey) {
			s.change(func() { delete(s.routes, k) })
		}, job.Result{Status: job.Dead, Reason: job.ReasonNoRoute}, 10 * time.Second, 13 * time.Second},
		{"the job moved on", job.Policy{}, func(s *store, k job.RouteKey) {
			s.change(func() { s.moved = true })
		}, job.Result{}, 10 * time.Second, 40 * time.Second},
		{"its time", job.Policy{}, nil, back, 5 * time.Minute, 5*time.Minute + 30*time.Second},
		{"a rate limit", limited, nil, back, 20 * time.Second, 31 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				s.standing = func(f job.Fire) (job.Standing, job.Record, error) {
					// Only the leader knows by then, and it is asked for a fire of a second time.
					if get(s, func() bool { return s.moved }) && f.Times > 1 {
						return job.Superseded, job.Record{}, nil
					}
					return job.Valid, job.Record{Replaces: job.Position{Due: due}, Reason: job.ReasonFailed, Detail: "status 500"}, nil
				}
				s.runShort(delivery.Config{}, noFiles)
				key := s.addPolicy("r", "http://h.example/", tt.policy)
				began := time.Now()
				s.fire(key)
				if tt.change != nil {
					time.Sleep(10 * time.Second)
					tt.change(s, key)
				}
				time.Sleep(tt.least - time.Since(began)) // for longer than awaitAcks waits
				s.awaitAcks(1)
				took := time.Since(began)
				var got job.Result
				if get(s, func() int { return len(s.finished) }) > 0 {
					got = s.awaitResult(1)
				}
				if got.Status == job.Expired {
					got.Reason, got.Detail = "", ""
				}
				if got != tt.want || took < tt.least || took > tt.most {
					t.Errorf("got %+v after %v, want %+v after %v to %v", got, took, tt.want, tt.least, tt.most)
				}
			})
		})
	}
}

// A stop does not wait for a try that was put off, however long its grace is.
func TestStopWhileTriesArePutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		dialed := make(chan struct{}, 1)
		stop := s.run(delivery.Config{}, func(m *delivery.Manager) {
			m.Transport().DialContext = func(context.Context, string, string) (net.Conn, error) {
				dialed <- struct{}{}
				return nil, noFiles
			}
		})
		s.fire(s.addRoute("r", "http://h.example/"))
		<-dialed
		synctest.Wait()
		began := time.Now()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("the stop took %v", took)
		}
		if got := get(s, func() string { return fmt.Sprint(s.finished, s.acked) }); got != "[] []" {
			t.Errorf("got %s, want the fire left to be handed out again", got)
		}
	})
}

// A name server that this machine has no source address for is no shortage: a resolver
// with several servers keeps the text of the last one's error.
func TestNameServerThatNoSourceReaches(t *testing.T) {
	t.Parallel()
	// It is of the documentation's network; the first one answers SERVFAIL.
	const server = "[2001:db8::53]:53"
	for _, err := range []error{
		&net.DNSError{Err: "dial udp " + server + ": connect: cannot assign requested address", Name: "h.example", Server: server},
		&net.DNSError{Err: "dial tcp " + server + ": connect: cannot assign requested address", Name: "h.example", Server: server,
			UnwrapErr: os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)},
	} {
		out := delivery.ErrorOutcome(&net.OpError{Op: "dial", Net: "tcp", Err: err}, 0)
		if want := delivery.NewOutcome(delivery.Failed, "dns error"); out != want {
			t.Errorf("%v: got %+v, want %+v", err, out, want)
		}
	}
}

// The system says EADDRNOTAVAIL also where it has no address to call from, as
// for IPv6 without any. This does not pass, so it counts as any failed try.
func TestAddressThatNoSourceReaches(t *testing.T) {
	t.Parallel()
	// An address of the documentation's network: without IPv6 there is no source
	// for it, with it there is no way or no answer.
	s := newStore(t)
	s.run(delivery.Config{Timeout: 200 * time.Millisecond})
	s.fire(s.addRoute("r", "http://[2001:db8::1]:9/"))
	if got := s.awaitResult(1); got.Status != job.Retrying {
		t.Errorf("got %+v, want a failed try", got)
	}
}
