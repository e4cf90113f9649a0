package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
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
	s.done("a", time.Minute, func(context.Context) error { order = append(order, "a"); return wrong })
	release := make(chan struct{})
	defer close(release)
	s.spawn("stuck", time.Nanosecond, func(context.Context) error { <-release; return nil })
	s.done("b", time.Minute, func(context.Context) error { order = append(order, "b"); return nil })
	err := s.Stop(t.Context())
	if !errors.Is(err, wrong) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "stuck") {
		t.Errorf("Stop: %v, want both %v and that the stuck part is late", err, wrong)
	}
	if got := strings.Join(order, ""); got != "ba" {
		t.Errorf("parts ended in the order %q, want ba", got)
	}
}
