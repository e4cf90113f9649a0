package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"belfry/internal/logtest"
	"belfry/internal/waittest"
)

// The terminal and the process that started Belfry may both send a signal: it is
// one, and the stop is a clean one.
func TestTwoSignalsAtOnceAreOne(t *testing.T) {
	t.Parallel()
	for _, second := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		log := &logtest.Log{}
		cmd := program(t, nil, "serve", "--listen", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0")
		cmd.Stderr = log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		says := func(words string) {
			t.Helper()
			waittest.Eventually(t, func() string {
				if !strings.Contains(log.String(), words) {
					return "the log does not say " + words + ":\n" + log.String()
				}
				return ""
			})
		}
		says("belfry is listening")
		for _, signal := range []os.Signal{os.Interrupt, second, os.Interrupt} {
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond) // so that the kernel does not make them one
		}
		if err := cmd.Wait(); err != nil || !strings.Contains(log.String(), "belfry has stopped") {
			t.Errorf("it ended with %v, want a clean stop:\n%s", err, log)
		}
	}
}
