package delivery_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	"belfry/delivery"
)

// closing tells when its transport closes it.
type closing struct {
	net.Conn
	closed chan struct{}
}

func (c closing) Close() error {
	close(c.closed)
	return c.Conn.Close()
}

// A receiver may close a new connection before the request is on its way, too. The
// transport has words of its own for that, and nothing came back: the request is made
// once more.
func TestClosedBeforeTheRequest(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	c := closing{ours, make(chan struct{})}
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		theirs.Close()
		return c, nil
	}}
	seen := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { <-c.closed }})
	req, err := http.NewRequestWithContext(seen, http.MethodPost, "http://h.example/", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = (&http.Client{Transport: transport}).Do(req)
	if err == nil {
		t.Fatal("a request on a closed connection has an answer")
	}
	if !delivery.Unanswered(err) {
		t.Errorf("%v: the request is not made again", err)
	}
	if got, want := delivery.ErrorOutcome(err, 0), delivery.NewOutcome(delivery.Failed, "connection reset"); got != want {
		t.Errorf("%v is told as %+v, want %+v", err, got, want)
	}
}
