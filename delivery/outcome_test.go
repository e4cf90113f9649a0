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

func TestErrorOutcome(t *testing.T) {
	t.Parallel()
	op := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	sys := func(errno syscall.Errno) error { return op(os.NewSyscallError("connect", errno)) }
	failed := func(detail string) delivery.Outcome { return delivery.NewOutcome(delivery.Failed, detail) }
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
	failed := delivery.NewOutcome(delivery.Failed, "status 503")
	retry := func(at int64) job.Result {
		return job.Result{Status: job.Retrying, RetryAt: at, Reason: job.ReasonFailed, Detail: "status 503"}
	}
	tests := []struct {
		name    string
		outcome delivery.Outcome
		attempt int
		want    job.Result
	}{
		{"delivered", delivery.NewOutcome(delivery.Delivered, ""), 3, job.Result{Status: job.Delivered}},
		{"gone", delivery.NewOutcome(delivery.Gone, "status 410"), 1,
			job.Result{Status: job.Dead, Reason: job.ReasonGone, Detail: "status 410"}},
		{"first try", failed, 1, retry(1667659343626)},
		{"second try", failed, 2, retry(1667659345626)},
		{"last try", failed, 3, job.Result{Status: job.Dead, Reason: job.ReasonExhausted, Detail: "status 503"}},
		{"beyond the last, after the policy shrank", failed, 9,
			job.Result{Status: job.Dead, Reason: job.ReasonExhausted, Detail: "status 503"}},
	}
	for _, tt := range tests {
		if got := delivery.Result(tt.outcome, job.Fire{Attempt: tt.attempt, Trigger: now.UnixMilli()}, policy, now); got != tt.want {
			t.Errorf("%s: %+v of attempt %d: got %+v, want %+v", tt.name, tt.outcome, tt.attempt, got, tt.want)
		}
	}
}
