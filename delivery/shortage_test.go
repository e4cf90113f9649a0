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

// While this machine has no more files, sockets or ports, tries are put off: they
// use no attempt, are no failures of the endpoint, and the log says so once.
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
				var short atomic.Bool
				short.Store(true)
				rec := newReceiver(t, nil)
				s := newStore(t)
				var logged logtest.Log
				due := time.Now().Add(-3 * time.Second).UnixMilli()
				s.standing = func(job.Fire) (job.Standing, job.Record, error) {
					return job.Valid, job.Record{Replaces: job.Position{Due: due}, Reason: job.ReasonFailed, Detail: "status 500"}, nil
				}
				s.run(delivery.Config{Log: logged.Logger()}, rec.dial, func(m *delivery.Manager) {
					dial := m.Transport().DialContext
					m.Transport().DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
						if short.Load() {
							return nil, &net.OpError{Op: "dial", Net: "tcp", Err: tt.err}
						}
						return dial(ctx, network, address)
					}
				})
				began := time.Now()
				key := s.addPolicy("r", "http://h.example/", job.Policy{Retry: job.RetryPolicy{MaxAttempts: 1}})
				for range fires {
					s.fire(key)
				}
				want := job.Result{Status: job.Scheduled, RetryAt: due, Reason: job.ReasonFailed, Detail: "status 500"}
				for n := range fires {
					if got := s.awaitResult(n + 1); got != want {
						t.Fatalf("result %d: got %+v, want %+v", n+1, got, want)
					}
				}
				// Four slots, each of which is kept for two seconds: a backlog does not spin.
				if took := time.Since(began); took < fires/4*2*time.Second || took > fires/4*3*time.Second {
					t.Errorf("%d tries were put off in %v", fires, took)
				}
				if n := get(s, func() int { return len(s.attempts) }); n != 0 {
					t.Errorf("%d attempts are kept, want none", n)
				}
				if n := get(s, func() int { return len(s.tripped) }); n != 0 {
					t.Error("the breaker has tripped")
				}
				const line = "this machine cannot call webhooks"
				if log := logged.String(); strings.Count(log, line) != 1 || !strings.Contains(log, tt.says) || !strings.Contains(log, "ERROR") {
					t.Errorf("log: got %s\nwant one ERROR that says %q", log, tt.says)
				}
				short.Store(false)
				s.fire(key)
				if got := s.awaitResult(fires + 1); got.Status != job.Delivered {
					t.Errorf("afterwards: got %+v, want delivered", got)
				}
			})
		})
	}
}

// A job that is late by what this machine could not do expires as any other.
func TestShortageDoesNotMoveTheDueTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		due := time.Now().UnixMilli()
		s.standing = func(job.Fire) (job.Standing, job.Record, error) {
			return job.Valid, job.Record{Replaces: job.Position{Due: due}}, nil
		}
		s.run(delivery.Config{}, func(m *delivery.Manager) {
			m.Transport().DialContext = func(context.Context, string, string) (net.Conn, error) {
				return nil, os.NewSyscallError("socket", syscall.EMFILE)
			}
		})
		key := s.addPolicy("r", "http://h.example/", job.Policy{MaxLateness: 5 * time.Second})
		for n := 1; ; n++ {
			s.fire(key)
			got := s.awaitResult(n)
			if got.Status == job.Expired && n > 1 {
				return
			}
			if got.Status != job.Scheduled || got.RetryAt != due || n == 5 {
				t.Fatalf("result %d: got %+v, want it put back, due at %d, and expired after five seconds", n, got, due)
			}
		}
	})
}

// A stop does not wait for a try that was put off.
func TestStopWhileTriesArePutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		dialed := make(chan struct{}, 1)
		stop := s.run(delivery.Config{Grace: time.Millisecond}, func(m *delivery.Manager) {
			m.Transport().DialContext = func(context.Context, string, string) (net.Conn, error) {
				dialed <- struct{}{}
				return nil, os.NewSyscallError("socket", syscall.EMFILE)
			}
		})
		s.fire(s.addRoute("r", "http://h.example/"))
		<-dialed
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
