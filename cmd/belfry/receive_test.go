package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReceivePrintsWebhooks(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- receive(ctx, "127.0.0.1:0", "", in) }()
	lines := bufio.NewScanner(out)
	line := func() string {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("no more output: %v", lines.Err())
		}
		return lines.Text()
	}
	first := line()
	url, ok := strings.CutPrefix(first, "waiting for webhooks at ")
	if !ok {
		t.Fatalf("first line %q", first)
	}
	req, err := http.NewRequestWithContext(ctx, "POST", url+"/hook?a=b", strings.NewReader("{\"n\":\t1,\n\"evil\":\"\x1b[2J\x9b\u202e\"}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("webhook-id", "an-id")
	req.Header.Set("Belfry-Attempt", "1")
	req.Header.Set("Belfry-Route", "\u009b2J")
	answered := make(chan string, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			answered <- err.Error()
			return
		}
		resp.Body.Close()
		answered <- resp.Status
	}()
	var got []string
	for range 8 {
		got = append(got, line())
	}
	text := strings.Join(got, "\n")
	for _, want := range []string{"POST /hook?a=b at ", "Webhook-Id: an-id", "Belfry-Attempt: 1", "Belfry-Route: \ufffd2J", "{\"n\":\t1,\n\"evil\":\"\ufffd[2J\ufffd\ufffd\"}"} {
		if !strings.Contains(text, want) {
			t.Errorf("printed\n%s\nwant %q in it", text, want)
		}
	}
	if status := <-answered; status != "200 OK" {
		t.Errorf("answered %q, want 200 OK", status)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	if err := receive(t.Context(), "0.0.0.0:0", "", io.Discard); err == nil {
		t.Error("listens on all interfaces")
	}
}

// The secret comes from a place that no list of processes shows.
func TestReceiveReadsItsSecret(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(anySecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newShell(nil)
	for _, tt := range []struct {
		secret, stdin, want string // that the secret is taken shows in that the address is what is wrong
	}{
		{anySecret, "", "--listen"},
		{"@" + name, "", "--listen"},
		{"-", anySecret + "\n", "--listen"},
		{"@" + name + "x", "", "--secret: open "},
		{"-", "hunter2", "--secret: \"whsec_\" and the base64"},
		{"", "", "--secret is empty"},
	} {
		_, _, err := s.run(t, tt.stdin, "receive", "--listen", "0.0.0.0:0", "--secret", tt.secret)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("belfry receive --secret %q with %q on standard input: %v, want %s", tt.secret, tt.stdin, err, tt.want)
		}
	}
}
