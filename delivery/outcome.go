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

// outcome is the result of one try. Its detail tells humans what went wrong, in
// Belfry's own words: an error's text may quote the URL or the receiver's bytes.
type outcome struct {
	verdict verdict
	detail  string

	// retryAfter is how long the receiver asks to be left alone.
	retryAfter time.Duration
}

type verdict int

const (
	delivered   verdict = iota // the receiver has it
	failed                     // worth another try
	gone                       // the receiver wants no more
	final                      // the route says that a retry is useless
	interrupted                // cut off by Belfry itself: it does not count
	putOff                     // this machine could not make it: it does not count either
)

// statusOutcome says what an HTTP status means to a route. Redirects are
// failures, since they are not followed.
//
//	2xx                     delivered
//	410, if it is final     gone
//	others that are final   final
//	everything else         failed
//
// A route that does not list final statuses has 410 as its only one.
func statusOutcome(code int, p job.Policy) outcome {
	detail := fmt.Sprintf("status %d", code)
	switch {
	case code >= 200 && code <= 299:
		return outcome{verdict: delivered}
	case code == http.StatusGone && p.Final(code):
		return outcome{verdict: gone, detail: detail}
	case p.Final(code):
		return outcome{verdict: final, detail: detail}
	}
	return outcome{verdict: failed, detail: detail}
}

// endpointAlive reports whether an answer with the status (0 is none) comes from a
// working endpoint, whatever it thinks of the try. Any status but 429 and 5xx counts.
func endpointAlive(status int) bool {
	return status > 0 && status < 500 && status != http.StatusTooManyRequests
}

// errorOutcome says what it means that there was no answer. waited is for how
// long.
//
//	cancelled                  interrupted
//	a shortage of this machine put off
//	everything else            failed
func errorOutcome(err error, waited time.Duration) outcome {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // its text has the URL, which may contain anything
	}
	out := outcome{verdict: failed}
	switch c := classify(err); c {
	case classCancelled:
		out.verdict, out.detail = interrupted, string(c)
	case classShortage:
		short, _ := shortageIn(err)
		out.verdict, out.detail = putOff, short.Error()
	case classPolicy:
		refused, _ := errors.AsType[*refusal](err)
		out.detail = refused.Error()
	case classTimeout:
		out.detail = fmt.Sprintf("%s after %v", c, waited)
	default:
		out.detail = string(c)
	}
	return out
}

// class names a kind of network error, in the words of a detail.
type class string

const (
	classCancelled class = "cancelled"
	classShortage  class = "shortage of this machine"
	classPolicy    class = "refused by policy"
	classDNS       class = "dns error"
	classTimeout   class = "timeout"
	classRefused   class = "connection refused"
	classReset     class = "connection reset"
	classTLS       class = "tls error"
	classFlood     class = "answer without end"
	classOther     class = "no valid answer"
)

// closedBefore is what net/http says of a connection that the receiver closed before a
// request was on its way, whether or not it had one before.
const closedBefore = "http: server closed idle connection"

func classify(err error) class {
	_, refused := errors.AsType[*refusal](err)
	_, dns := errors.AsType[*net.DNSError](err)
	_, shortage := shortageIn(err)
	network, ok := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.Canceled):
		return classCancelled
	case shortage:
		return classShortage
	case refused:
		return classPolicy
	case errors.Is(err, errFlood):
		return classFlood
	case dns:
		return classDNS
	case ok && network.Timeout():
		return classTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return classRefused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), bare(err) == closedBefore:
		return classReset
	case errors.Is(err, http.ErrSchemeMismatch), strings.Contains(err.Error(), "tls: "):
		// The errors of crypto/tls share no type, only a prefix.
		return classTLS
	}
	return classOther
}

// result says what happens to the job after a try for the fire f. now is the end of
// the try. An interrupted try has no result.
func (o outcome) result(f job.Fire, p job.RetryPolicy, now time.Time) job.Result {
	switch {
	case o.verdict == delivered:
		return job.Result{Status: job.Delivered}
	case o.verdict == gone:
		return job.Result{Status: job.Dead, Reason: job.ReasonGone, Detail: o.detail}
	case o.verdict == final:
		return job.Result{Status: job.Dead, Reason: job.ReasonFinal, Detail: o.detail}
	case f.Attempt >= p.Attempts():
		return job.Result{Status: job.Dead, Reason: job.ReasonExhausted, Detail: o.detail}
	}
	wait, spread := retryDelay(f.Attempt, p), time.Duration(0)
	if o.retryAfter > wait {
		wait, spread = o.retryAfter, spreadOver(o.retryAfter)
	}
	if p.MaxAge > 0 {
		left := time.UnixMilli(f.AgesFrom()).Add(p.MaxAge).Sub(now)
		if wait > left {
			return job.Result{Status: job.Dead, Reason: job.ReasonMaxAge, Detail: o.detail}
		}
		spread = min(spread, left-wait)
	}
	at := now.Add(wait + spread)
	return job.Result{Status: job.Retrying, RetryAt: at.UnixMilli(), Reason: job.ReasonFailed, Detail: o.detail}
}
