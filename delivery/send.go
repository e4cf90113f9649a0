package delivery

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// staying hides where answers redirect to, so that a client follows no redirect. A
// client that refuses to follow still reads the location first, and fails if it is no
// URL.
type staying struct{ *http.Transport }

func (t staying) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.Transport.RoundTrip(req)
	if err == nil {
		res.Header.Del("Location")
	}
	return res, err
}

// send makes a request on the connections of a route. It makes it again when
// the first one got no answer:
//
//	the receiver closed without a byte   once, on a new connection
//	the receiver wants HTTP/1.1          once, over that
//	the receiver refused it unseen       a few times, HTTP/2 only
//
// The caller closes the answer's body, and then calls done.
func (l *lane) send(req *http.Request) (res *http.Response, done func(), err error) {
	again, over1, refused := false, false, 0
	// A transport that can read the body again repeats a request by itself, even one
	// that the receiver may have seen.
	body := req.GetBody
	req.GetBody = nil
	for next := l.transport; ; {
		t, s := next(), &sending{}
		done := func() {
			s.end()
			l.release(t)
		}
		res, err = s.do(t.Transport, req)
		switch {
		case err == nil:
			return res, done, nil
		case !over1 && wantsHTTP1(err):
			over1 = true
			l.only1(t)
			next = l.transport
		case refused < maxRefused && unseen(err):
			pause(req.Context(), refusedWait(refused))
			refused++
			next = l.transport // other connections by now, if the receiver wants HTTP/1.1
		case !again && s.unanswered(err):
			again = true
			l.renew(t)
			next = l.single
		default:
			if s.silent(err) {
				l.renew(t)
			}
			done()
			return nil, nil, err
		}
		done()
		if req.Body, err = body(); err != nil {
			return nil, nil, err
		}
	}
}

// sending is one request on one connection. A transport calls its hooks from
// goroutines of its own.
type sending struct {
	mu     sync.Mutex // guards what follows
	got    bool       // it has a connection
	reused bool       // the connection had a request before
	byte   bool       // something came back
	conn   *conn
	ended  bool
}

func (s *sending) do(t *http.Transport, req *http.Request) (*http.Response, error) {
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn:              s.gotConn,
		GotFirstResponseByte: func() { s.mu.Lock(); s.byte = true; s.mu.Unlock() },
	})
	c := http.Client{Transport: staying{t}}
	return c.Do(req.WithContext(ctx))
}

// gotConn is called again when the transport replaces a connection that was closed
// before it wrote.
func (s *sending) gotConn(info httptrace.GotConnInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	if s.conn != nil {
		s.conn.end()
	}
	s.got, s.reused, s.conn = true, info.Reused, connOf(info.Conn)
	if s.conn != nil {
		s.conn.begin()
	}
}

// end says that no more of an answer is awaited.
func (s *sending) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil && !s.ended {
		s.conn.end()
	}
	s.ended = true
}

// unanswered reports whether the receiver, or what stands before it, closed the
// connection without a byte: most likely it was about to when the request came.
func (s *sending) unanswered(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.got || s.byte || errors.Is(err, errFlood) {
		return false
	}
	// A receiver that resets one request has not closed its connection, and one that
	// breaks the protocol had its connection closed here.
	_, reset := errors.AsType[http2.StreamError](err)
	if reset || unrepeated(err) != "" || strings.HasPrefix(bare(err), "connection error: ") {
		return false
	}
	// A transport, like HTTP/2, has its own error for a connection that was closed
	// between two requests.
	c := classify(err)
	return c == classReset || s.reused && c == classOther
}

// silent reports whether a reused connection got no answer in time. Its receiver may
// have moved, and other tries would wait, too.
func (s *sending) silent(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reused && !s.byte && errors.Is(err, context.DeadlineExceeded)
}

// wantsHTTP1 reports whether a receiver refuses to serve a request over HTTP/2;
// RFC 9113, section 7, HTTP_1_1_REQUIRED.
func wantsHTTP1(err error) bool {
	if e, ok := errors.AsType[http2.StreamError](err); ok {
		return e.Code == http2.ErrCodeHTTP11Required
	}
	// The text ends with the receiver's own words, quoted.
	said, _, _ := strings.Cut(bare(err), ", debug=")
	return strings.Contains(said, "http2: ") && strings.Contains(said, "GOAWAY") && strings.HasSuffix(said, http2.ErrCodeHTTP11Required.String())
}

// maxRefused is how often a request that was refused unseen is made again.
const maxRefused = 6

// refusedWait is how long to wait before that: not at all, and then 1, 2, 4 … s.
func refusedWait(before int) time.Duration {
	if before == 0 {
		return 0
	}
	d := time.Second << (before - 1)
	return d + rand.N(d/10)
}

// unseen reports whether a receiver says that it has not looked at a request: it
// refuses the stream, or goes away before it; RFC 9113, section 8.7.
func unseen(err error) bool {
	why := unrepeated(err)
	return strings.Contains(why, http2.ErrCodeRefusedStream.String()) || strings.Contains(why, "GOAWAY")
}

// unrepeated returns why a transport would have repeated a request over HTTP/2 if it
// could read the body again, or "" if it would not. It keeps only the text, which has
// none of the receiver's words.
func unrepeated(err error) string {
	if why, ok := strings.CutPrefix(bare(err), "http2: Transport: cannot retry err ["); ok {
		return why
	}
	return ""
}

// bare returns an error's text without the URL, which may contain anything.
func bare(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return err.Error()
}

// drain reads the rest of an answer so that its connection can be used again, up
// to a limit.
func drain(body io.Reader) { _, _ = io.CopyN(io.Discard, body, maxAnswer) }
