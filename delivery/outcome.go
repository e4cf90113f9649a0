package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"belfry/internal/job"
)

// outcome is what one try came to. Its detail says for people what went wrong,
// in words of Belfry's own: an error's text may quote the URL or what the
// receiver sent.
type outcome struct {
	verdict verdict
	detail  string
}

type verdict int

const (
	delivered   verdict = iota // the receiver has it
	failed                     // worth another try
	gone                       // the receiver wants no more
	interrupted                // cut off by Belfry itself: it does not count
)

// statusOutcome says what an HTTP status means. Redirects are failures, since
// they are not followed.
//
//	2xx               delivered
//	410               gone
//	everything else   failed
func statusOutcome(code int) outcome {
	switch {
	case code >= 200 && code <= 299:
		return outcome{verdict: delivered}
	case code == http.StatusGone:
		return outcome{gone, "status 410"}
	}
	return outcome{failed, fmt.Sprintf("status %d", code)}
}

// errorOutcome says what it means that there was no answer. timeout is how
// long one was waited for.
//
//	cancelled         interrupted
//	everything else   failed
func errorOutcome(err error, timeout time.Duration) outcome {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // its text has the URL, which may read like anything
	}
	switch c := classify(err); c {
	case classCancelled:
		return outcome{interrupted, string(c)}
	case classTimeout:
		return outcome{failed, fmt.Sprintf("%s after %v", c, timeout)}
	default:
		return outcome{failed, string(c)}
	}
}

// class is a kind of network error, in the words of a detail.
type class string

const (
	classCancelled class = "cancelled"
	classDNS       class = "dns error"
	classTimeout   class = "timeout"
	classRefused   class = "connection refused"
	classReset     class = "connection reset"
	classTLS       class = "tls error"
	classOther     class = "no valid answer"
)

func classify(err error) class {
	_, dns := errors.AsType[*net.DNSError](err)
	network, ok := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.Canceled):
		return classCancelled
	case dns:
		return classDNS
	case ok && network.Timeout():
		return classTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return classRefused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return classReset
	case errors.Is(err, http.ErrSchemeMismatch), strings.Contains(err.Error(), "tls: "):
		// crypto/tls has no error type in common, but a prefix.
		return classTLS
	}
	return classOther
}

// result is what becomes of the job after try number attempt. now is the end
// of the try; an interrupted one has no result.
func (o outcome) result(attempt int, p job.RetryPolicy, now time.Time) job.Result {
	switch {
	case o.verdict == delivered:
		return job.Result{Status: job.Delivered}
	case o.verdict == gone:
		return job.Result{Status: job.Dead, Reason: job.ReasonGone, Detail: o.detail}
	case attempt < p.MaxAttempts:
		return job.Result{
			Status:  job.Retrying,
			RetryAt: now.Add(retryDelay(attempt, p)).UnixMilli(),
			Reason:  job.ReasonFailed,
			Detail:  o.detail,
		}
	}
	return job.Result{Status: job.Dead, Reason: job.ReasonExhausted, Detail: o.detail}
}
