package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/internal/logtest"
)

func TestClientLines(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		`127.0.0.1:50000 - cid:8 - "v1.55.0:go:name" - Publish Violation - User "turns", Subject "x"`: "nats-server: cid: Publish Violation",
		`127.0.0.1:50000 - cid:9 - Subscription Violation - User "turns", Subject "x", SID 1`:         "nats-server: cid: Subscription Violation",
		`[::1]:50000 - lid_ws:9 - TLS handshake error: EOF`:                                           "nats-server: lid_ws: TLS handshake error",
		`127.0.0.1:50000 - cid:9 - something new`:                                                     "nats-server: cid",
		`127.0.0.1:50000 - rid:9 - authentication error`:                                              "nats-server: rid: authentication error",
		`pipe - cid:3 - "v1.55.0:go:belfry" - Slow Consumer Detected`:                                 "", // Belfry's own
		`JetStream failed to store a msg on stream '$G > KV_jobs_0': no space left on device`:         "",
		`JetStream resource limits exceeded for server`:                                               "",
		`Error in 127.0.0.1:50000 - cid:8 - Publish Violation`:                                        "",
		`127.0.0.1 - Publish Violation`:                                                               "",
	} {
		if got, is := clientLine(said); got != want || is != (want != "") {
			t.Errorf("%s: it is of the kind %q, %v; want %q", said, got, is, want)
		}
	}
}

// A line that the server repeats while something lasts, such as a full disk, is logged
// once, and again after a while. It still counts as the server's last message.
func TestServerRepeatsItself(t *testing.T) {
	t.Parallel()
	var log logtest.Log
	l := &natsLog{log: log.Logger()}
	for range 100 {
		l.Errorf("JetStream failed to store a msg on stream '%s': %s", "$G > KV_jobs_0", "no space left on device")
		l.Errorf("JetStream failed to store a msg on stream '%s': %s", "$G > FIRES", "no space left on device")
	}
	if n := strings.Count(log.String(), "level=ERROR msg=nats-server"); n != 2 {
		t.Errorf("two errors that are repeated are logged %d times, want 2:\n%s", n, log.String())
	}
	if said := l.about("FIRES"); len(said) == 0 || !strings.Contains(said[len(said)-1], "no space left") {
		t.Errorf("the server said of FIRES: %q", said)
	}
	now := time.Now()
	if l.repeats("a line", now) || !l.repeats("a line", now.Add(repeatAfter-1)) || l.repeats("a line", now.Add(repeatAfter)) {
		t.Error("a line is not logged once in a while")
	}
}

// A NATS user who is refused again and again does not fill the log: the log says how
// many lines were left out, and hides no trouble of the server itself.
func TestRefusalsFillNoLog(t *testing.T) {
	t.Parallel()
	var log logtest.Log
	cfg := freePorts(t)
	cfg.NATSConfig = confFile(t, `authorization { users: [{user: u, password: p, permissions: {publish: ["mine"], subscribe: ["mine"]}}] }`)
	s := New(cfg, log.Logger())
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(t.Context()) })
	const refused = 5000
	violations := make(chan error, 2*refused)
	nc, err := nats.Connect(s.NATSURL(), nats.UserInfo("u", "p"), nats.Name(`a" - Slow Consumer - b`),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { violations <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for i := range refused {
		if err := nc.Publish(fmt.Sprint("other.", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 20 { // who may not come in is another kind
		if _, err := nats.Connect(s.NATSURL(), nats.UserInfo("u", "wrong")); err == nil {
			t.Fatal("a wrong password is accepted")
		}
	}
	natsLog := &natsLog{log: s.log}
	natsLog.Errorf("JetStream failed to store a msg on stream %q", "KV_jobs_0")
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	text := log.String()
	if n := strings.Count(text, "level=ERROR"); n > 60 {
		t.Errorf("%d ERROR lines for %d refusals, want a few", n, refused)
	}
	for _, want := range []string{"left_out=", "other.0", "JetStream failed to store a msg", "authentication error"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log does not have %q", want)
		}
	}
}

// Handshakes that fail at the API fill no log either.
func TestFailedHandshakesFillNoLog(t *testing.T) {
	t.Parallel()
	var log logtest.Log
	s := New(freePorts(t), log.Logger())
	h := s.newHTTPServer(http.NotFoundHandler())
	for i := range 1000 {
		h.ErrorLog.Printf("http: TLS handshake error from 127.0.0.1:%d: EOF", i)
	}
	s.flushLog()
	if text := log.String(); strings.Count(text, "\n") > 20 || !strings.Contains(text, "left_out=990") {
		t.Errorf("1,000 failed handshakes are logged as\n%s", text)
	}
}
