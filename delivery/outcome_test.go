package delivery_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"testing"
	"time"

	"belfry/delivery"
	"belfry/internal/job"
)

func TestStatusOutcome(t *testing.T) {
	t.Parallel()
	for code := 100; code <= 599; code++ {
		want := delivery.NewOutcome(delivery.Failed, fmt.Sprintf("status %d", code))
		switch {
		case code >= 200 && code < 300:
			want = delivery.NewOutcome(delivery.Delivered, "")
		case code == 410:
			want = delivery.NewOutcome(delivery.Gone, "status 410")
		}
		if got := delivery.StatusOutcome(code, job.Policy{}); got != want {
			t.Errorf("status %d: got %+v, want %+v", code, got, want)
		}
	}
}

// TestFinalStatuses has routes that list their final statuses; a success is never one.
func TestFinalStatuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		final []job.StatusRange
		want  map[int]string // the others are "failed"
	}{
		{nil, map[int]string{410: "gone"}},
		{[]job.StatusRange{}, nil},
		{[]job.StatusRange{{First: 404, Last: 404}}, map[int]string{404: "final"}},
		{[]job.StatusRange{{First: 400, Last: 499}, {First: 501, Last: 501}},
			map[int]string{400: "final", 404: "final", 410: "gone", 429: "final", 499: "final", 501: "final"}},
		{[]job.StatusRange{{First: 200, Last: 599}}, map[int]string{302: "final", 400: "final", 404: "final", 410: "gone", 429: "final",
			499: "final", 500: "final", 501: "final", 503: "final"}},
	} {
		for _, code := range []int{200, 302, 400, 404, 410, 429, 499, 500, 501, 503} {
			want := delivery.NewOutcome(delivery.Failed, fmt.Sprintf("status %d", code))
			switch {
			case code == 200:
				want = delivery.NewOutcome(delivery.Delivered, "")
			case tt.want[code] == "gone":
				want = delivery.NewOutcome(delivery.Gone, "status 410")
			case tt.want[code] == "final":
				want = delivery.NewOutcome(delivery.Final, fmt.Sprintf("status %d", code))
			}
			if got := delivery.StatusOutcome(code, job.Policy{FinalStatuses: tt.final}); got != want {
				t.Errorf("status %d with the final ones %v: got %+v, want %+v", code, tt.final, got, want)
			}
		}
	}
}

func TestErrorOutcome(t *testing.T) {
	t.Parallel()
	op := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	sys := func(errno syscall.Errno) error { return op(os.NewSyscallError("connect", errno)) }
	failed := func(detail string) delivery.Outcome { return delivery.NewOutcome(delivery.Failed, detail) }
	putOff := func(e syscall.Errno) delivery.Outcome { return delivery.NewOutcome(delivery.PutOff, e.Error()) }
	tests := []struct {
		name string
		err  error
		want delivery.Outcome
	}{
		{"dns", op(&net.DNSError{Err: "no such host", Name: "h.example", IsNotFound: true}), failed("dns error")},
		{"dns timeout", op(&net.DNSError{Err: "timeout", Name: "h.example", IsTimeout: true}), failed("dns error")},
		{"refused", sys(syscall.ECONNREFUSED), failed("connection refused")},
		{"reset", sys(syscall.ECONNRESET), failed("connection reset")},
		{"broken pipe", sys(syscall.EPIPE), failed("connection reset")},
		{"closed before an answer", io.EOF, failed("connection reset")},
		{"closed within an answer", io.ErrUnexpectedEOF, failed("connection reset")},
		{"timeout", context.DeadlineExceeded, failed("timeout after 15s")},
		{"dial timeout", op(os.ErrDeadlineExceeded), failed("timeout after 15s")},
		{"system's timeout", sys(syscall.ETIMEDOUT), failed("timeout after 15s")},
		{"certificate", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, failed("tls error")},
		{"certificate's host", &tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "h.example"}}, failed("tls error")},
		{"alert", &net.OpError{Op: "remote error", Err: tls.AlertError(40)}, failed("tls error")},
		{"no tls", tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, failed("tls error")},
		{"http instead of https", http.ErrSchemeMismatch, failed("tls error")},
		{"open files", sys(syscall.EMFILE), putOff(syscall.EMFILE)},
		{"open files of all", op(os.NewSyscallError("socket", syscall.ENFILE)), putOff(syscall.ENFILE)},
		{"buffers", &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.ENOBUFS)}, putOff(syscall.ENOBUFS)},
		{"memory", sys(syscall.ENOMEM), putOff(syscall.ENOMEM)},
		{"ports", sys(syscall.EADDRNOTAVAIL), putOff(syscall.EADDRNOTAVAIL)},
		{"open files, to ask a name server", op(&net.DNSError{Err: "dial udp 127.0.0.1:53: socket: " + syscall.EMFILE.Error(), Name: "h.example"}), putOff(syscall.EMFILE)},
		{"open files, as the C library says it", op(&net.DNSError{Err: syscall.EMFILE.Error(), Name: "h.example", IsTemporary: true}), putOff(syscall.EMFILE)},
		{"open files, for the certificates", &tls.CertificateVerificationError{Err: x509.SystemRootsError{Err: &os.PathError{Op: "open", Path: "/c", Err: syscall.EMFILE}}}, putOff(syscall.EMFILE)},
		{"a receiver's words", errors.New("malformed HTTP response \"too many open files\""), failed("no valid answer")},
		{"a name like that", op(&net.DNSError{Err: "no such host", Name: "too many open files", IsNotFound: true}), failed("dns error")},
		{"cancelled", context.Canceled, delivery.NewOutcome(delivery.Interrupted, "cancelled")},
		{"unreachable", sys(syscall.EHOSTUNREACH), failed("no valid answer")},
		{"not http", errors.New(`malformed HTTP response "secret"`), failed("no valid answer")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, err := range []error{
				tt.err,
				// The URL must not decide.
				&url.Error{Op: "Post", URL: "http://h.example/?tls: ", Err: tt.err},
			} {
				if got := delivery.ErrorOutcome(err, 15*time.Second); got != tt.want {
					t.Errorf("error %v: got %+v, want %+v", err, got, tt.want)
				}
			}
		})
	}
}

func TestResult(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1667659342626)
	policy := job.RetryPolicy{MaxAttempts: 3, First: time.Second, Multiplier: 3, Max: time.Hour}
	aging := policy
	aging.MaxAge = 10 * time.Second
	schedule := job.RetryPolicy{Schedule: []time.Duration{5 * time.Second, time.Minute}}
	failed := delivery.NewOutcome(delivery.Failed, "status 503")
	retry := func(after time.Duration) job.Result {
		return job.Result{Status: job.Retrying, RetryAt: now.Add(after).UnixMilli(), Reason: job.ReasonFailed, Detail: "status 503"}
	}
	dead := func(reason job.Reason, detail string) job.Result {
		return job.Result{Status: job.Dead, Reason: reason, Detail: detail}
	}
	tests := []struct {
		name    string
		outcome delivery.Outcome
		attempt int
		policy  job.RetryPolicy
		age     time.Duration // since the trigger time
		want    job.Result
	}{
		{"delivered", delivery.NewOutcome(delivery.Delivered, ""), 3, policy, 0, job.Result{Status: job.Delivered}},
		{"gone", delivery.NewOutcome(delivery.Gone, "status 410"), 1, policy, 0, dead(job.ReasonGone, "status 410")},
		{"final", delivery.NewOutcome(delivery.Final, "status 404"), 1, policy, 0, dead(job.ReasonFinal, "status 404")},
		{"first try", failed, 1, policy, 0, retry(time.Second)},
		{"second try", failed, 2, policy, 0, retry(3 * time.Second)},
		{"last try", failed, 3, policy, 0, dead(job.ReasonExhausted, "status 503")},
		{"beyond the last, after the policy shrank", failed, 9, policy, 0, dead(job.ReasonExhausted, "status 503")},
		{"first of a schedule", failed, 1, schedule, 0, retry(5 * time.Second)},
		{"second of a schedule", failed, 2, schedule, 0, retry(time.Minute)},
		{"end of a schedule", failed, 3, schedule, 0, dead(job.ReasonExhausted, "status 503")},
		{"just young enough", failed, 1, aging, 9 * time.Second, retry(time.Second)},
		{"too old by then", failed, 1, aging, 9*time.Second + time.Millisecond, dead(job.ReasonMaxAge, "status 503")},
		{"too old, and the last", failed, 3, aging, time.Hour, dead(job.ReasonExhausted, "status 503")},
		{"old, but delivered", delivery.NewOutcome(delivery.Delivered, ""), 1, aging, time.Hour, job.Result{Status: job.Delivered}},
		{"asked to wait longer", failed.After(2 * time.Minute), 1, policy, 0, retry(2 * time.Minute)},
		{"asked to wait less", failed.After(time.Second), 2, policy, 0, retry(3 * time.Second)},
		{"asked to wait until it is too old", failed.After(time.Minute), 1, aging, 0, dead(job.ReasonMaxAge, "status 503")},
		{"asked to wait after the last", failed.After(time.Minute), 3, policy, 0, dead(job.ReasonExhausted, "status 503")},
	}
	for _, tt := range tests {
		f := job.Fire{Arming: job.Arming{Job: job.Job{Trigger: now.Add(-tt.age).UnixMilli()}, Attempt: tt.attempt}}
		if got := delivery.Result(tt.outcome, f, tt.policy, now); !sameBut(got, tt.want) {
			t.Errorf("%s: %+v of attempt %d: got %+v, want %+v", tt.name, tt.outcome, tt.attempt, got, tt.want)
		}
		// For a job that was redriven, the age counts from the redrive.
		f.Redriven, f.Trigger = f.Trigger, now.Add(-30*24*time.Hour).UnixMilli()
		if got := delivery.Result(tt.outcome, f, tt.policy, now); !sameBut(got, tt.want) {
			t.Errorf("%s, redriven: %+v of attempt %d: got %+v, want %+v", tt.name, tt.outcome, tt.attempt, got, tt.want)
		}
	}
}

// sameBut compares results, but lets a retry be up to a tenth later.
func sameBut(got, want job.Result) bool {
	now := time.UnixMilli(1667659342626)
	if late := got.RetryAt - want.RetryAt; want.RetryAt != 0 && late >= 0 && late <= (want.RetryAt-now.UnixMilli())/10 {
		got.RetryAt = want.RetryAt
	}
	return got == want
}

// If a receiver gives all jobs of a route the same date, they come back after it, and
// not all at one moment. A receiver that asks for less than the backoff changes
// nothing.
func TestRetryAfterIsSpreadOut(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1667659342626)
	policy := job.RetryPolicy{MaxAttempts: 3, First: time.Second, Multiplier: 3, Max: time.Hour}
	aging := policy
	aging.MaxAge = time.Hour + 10*time.Millisecond
	for _, tt := range []struct {
		asked  time.Duration
		policy job.RetryPolicy
		most   time.Duration // how much later
		least  int           // different moments of a thousand
	}{
		{2 * time.Second, policy, 200 * time.Millisecond, 150},
		{time.Hour, policy, time.Minute, 900},
		{24 * time.Hour, policy, time.Minute, 900},
		{time.Hour, job.RetryPolicy{Schedule: []time.Duration{time.Second}}, time.Minute, 900},
		{time.Hour, aging, 10 * time.Millisecond, 1},
		{500 * time.Millisecond, policy, 0, 1}, // the backoff is longer
	} {
		f := job.Fire{Arming: job.Arming{Job: job.Job{Trigger: now.UnixMilli()}, Attempt: 1}}
		moments := map[int64]int{}
		for range 1000 {
			got := delivery.Result(delivery.NewOutcome(delivery.Failed, "status 503").After(tt.asked), f, tt.policy, now)
			from := max(tt.asked, time.Second)
			if later := time.UnixMilli(got.RetryAt).Sub(now) - from; got.Status != job.Retrying || later < 0 || later > tt.most {
				t.Fatalf("asked for %v: got %+v, %v later than that, want 0 to %v", tt.asked, got, later, tt.most)
			}
			moments[got.RetryAt]++
		}
		if len(moments) < tt.least {
			t.Errorf("asked for %v: a thousand jobs come back at %d moments, want %d or more", tt.asked, len(moments), tt.least)
		}
	}
}
