package delivery

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"

	"golang.org/x/net/http2"
)

// staying hides where answers point to, so that a client follows no redirect. One
// that refuses to follow still reads that first, and fails if it is no URL.
type staying struct{ *http.Transport }

func (t staying) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.Transport.RoundTrip(req)
	if err == nil {
		res.Header.Del("Location")
	}
	return res, err
}

// send makes a request on the connections of a route. It makes it again when
// nothing was said of the first one:
//
//	the receiver closed without a byte   once, on a new connection
//	the receiver wants HTTP/1.1          once, over that
//
// The caller closes the answer's body, and then calls done.
func (l *lane) send(req *http.Request) (res *http.Response, done func(), err error) {
	again, over1 := false, false
	t := l.transport()
	for {
		s := &sending{}
		res, err = s.do(t, req)
		switch {
		case err == nil:
			return res, s.end, nil
		case !over1 && wantsHTTP1(err):
			over1 = true
			l.only1(t)
			t = l.transport()
		case !again && s.unanswered(err):
			again = true
			l.renew(t)
			t = l.single()
		default:
			if s.silent(err) {
				l.renew(t)
			}
			s.end()
			return nil, nil, err
		}
		s.end()
		if req.Body, err = req.GetBody(); err != nil {
			return nil, nil, err
		}
	}
}

// sending is one request on one connection. A transport calls its hooks from
// goroutines of its own.
type sending struct {
	mu     sync.Mutex // guards what follows
	got    bool       // a connection
	reused bool       // which had a request before
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

// gotConn is called again when the transport itself takes another connection for
// one that was closed before it wrote.
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
	// A transport has words of its own for a connection that was closed between two
	// requests, and so has HTTP/2.
	c := classify(err)
	return c == classReset || s.reused && c == classOther
}

// silent reports whether a connection that was in use before got no answer in
// time. Its receiver may have moved, and the others would wait, too.
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
	// The text ends with words of the receiver's, quoted.
	said, _, _ := strings.Cut(err.Error(), ", debug=")
	return strings.Contains(said, "http2: ") && strings.Contains(said, "GOAWAY") && strings.HasSuffix(said, http2.ErrCodeHTTP11Required.String())
}

// drain reads the rest of an answer so that its connection can be used again, up
// to a limit.
func drain(body io.Reader) { _, _ = io.CopyN(io.Discard, body, maxAnswer) }
