package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// From the request to the webhook it is one trace, and a collector hears of it.
func TestTraceOfAJob(t *testing.T) {
	const traceID = "0af7651916cd43dd8448eb211c80319c"
	raw, err := hex.DecodeString(traceID)
	if err != nil {
		t.Fatal(err)
	}
	exports := make(chan []byte, 100)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		exports <- body
	}))
	defer collector.Close()
	received := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		received <- r.Header.Get("traceparent")
	}))
	defer receiver.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_SERVICE_NAME", "our-timers")

	s := newServer(freePorts(t))
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	call(t, s, http.MethodPost, "/route/games", fmt.Sprintf(`{"id":"r","type":"REST","webhook_url":%q}`, receiver.URL))
	body := fmt.Sprintf(`{"id":"m","trigger_time":%d,"route":"r"}`, time.Now().UnixMilli())
	status, answer := call(t, s, http.MethodPost, "/job/games/matches", body, func(req *http.Request) {
		req.Header.Set("traceparent", "00-"+traceID+"-b7ad6b7169203331-01")
	})
	if status != http.StatusOK {
		t.Fatalf("POST: %d %s", status, answer)
	}
	select {
	case got := <-received:
		if !strings.HasPrefix(got, "00-"+traceID+"-") || strings.Contains(got, "b7ad6b7169203331") {
			t.Errorf("the webhook has the traceparent %q, want one of the same trace and of a span of its own", got)
		}
	case <-time.After(patience):
		t.Fatalf("no webhook within %v", patience)
	}
	if err := s.Stop(t.Context()); err != nil { // which sends what is left
		t.Errorf("Stop: %v", err)
	}
	collector.Close()
	close(exports)
	var all []byte
	for body := range exports {
		all = append(all, body...)
	}
	for _, want := range []string{"our-timers", "POST /job/{db}/{collection}", "deliver", string(raw)} {
		if !bytes.Contains(all, []byte(want)) {
			t.Errorf("the collector got %d bytes without %q", len(all), want)
		}
	}
}
