package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
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
	req, err := http.NewRequestWithContext(ctx, "POST", url+"/hook?a=b", strings.NewReader(`{"n":1}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("webhook-id", "an-id")
	req.Header.Set("Belfry-Attempt", "1")
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
	for range 6 {
		got = append(got, line())
	}
	text := strings.Join(got, "\n")
	for _, want := range []string{"POST /hook?a=b at ", "Webhook-Id: an-id", "Belfry-Attempt: 1", `{"n":1}`} {
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
