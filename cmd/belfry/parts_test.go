package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPartThatEndsByItself(t *testing.T) {
	t.Parallel()
	s := newServer(Config{})
	broken := errors.New("broken")
	s.spawn("first", time.Second, func(context.Context) error { return broken })
	if err := <-s.Failed(); !errors.Is(err, broken) || !strings.Contains(err.Error(), "first") {
		t.Errorf("Failed: %v, want %v of the first part", err, broken)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("Stop: %v, want nil: the failure was told", err)
	}
}

func TestStopIsInReverseBoundedAndJoinsErrors(t *testing.T) {
	t.Parallel()
	s := newServer(Config{})
	var order []string
	wrong := errors.New("wrong")
	s.onStop("a", time.Minute, func(context.Context) error { order = append(order, "a"); return wrong })
	release := make(chan struct{})
	defer close(release)
	s.spawn("stuck", time.Nanosecond, func(context.Context) error { <-release; return nil })
	s.onStop("b", time.Minute, func(context.Context) error { order = append(order, "b"); return nil })
	err := s.Stop(t.Context())
	if !errors.Is(err, wrong) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "stuck") {
		t.Errorf("Stop: %v, want both %v and that the stuck part is late", err, wrong)
	}
	if got := strings.Join(order, ""); got != "ba" {
		t.Errorf("parts ended in the order %q, want ba", got)
	}
}

// Every part there is, in the order of the start, which Stop reverses. Their
// shares of the time of a stop leave the store a second to close.
func TestPartsInTheirOrder(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1") // which nothing is sent to
	cfg := freePorts(t)
	cfg.AdminListen = "127.0.0.1:0"
	cert, key := keyPair(t, "api")
	cfg.TLSCert, cfg.TLSKey = inFile(t, "tls.crt", cert), inFile(t, "tls.key", key)
	s := startServer(t, cfg)
	var names []string
	var shares time.Duration
	for _, part := range s.undo {
		names = append(names, part.name)
		if part.limit < stopLimit {
			shares += part.limit
		}
	}
	want := []string{
		"API listener", "admin listener", "traces", "data folder", "files of the streams", "nats-server", "NATS connection belfry",
		"NATS connection belfry workers", "NATS connection belfry requests", "watch of the data folder", "watch of the storage", "manifest",
		"attempts", "delivery", "timer", "tokens", "certificate", "API",
		"NATS connection belfry service", "NATS service",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("the parts of a server (-want +got):\n%s", diff)
	}
	if left := stopLimit - shares; left < time.Second {
		t.Errorf("the parts may take %v of the %v of a stop together, want a second left for the store", shares, stopLimit)
	}
	if stopLimit >= 30*time.Second || deliveryGrace <= 15*time.Second {
		t.Errorf("a stop may take %v, and its webhooks %v; want less than 30 s, and more than the 15 s that a webhook may take", stopLimit, deliveryGrace)
	}
}
