package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"belfry/internal/proc"
)

const (
	// startWithin is far more than belfry takes to start on no data.
	startWithin = 30 * time.Second
	// stopWithin is more than belfry takes to stop at its own limit.
	stopWithin = 30 * time.Second
)

// startBelfry runs a belfry on free ports and returns the URL of its API when
// it is ready. Its data is in a temporary folder beside the binary, since the
// system's may be in memory, where syncing costs nothing. stop ends it and
// removes the data. Warnings and errors in its log go to stderr.
func startBelfry(ctx context.Context, binary, natsConfig string, stderr io.Writer) (url string, stop func() error, err error) {
	data, err := os.MkdirTemp(filepath.Dir(binary), "loadgen-data-")
	if err != nil {
		return "", nil, err
	}
	cmd := exec.Command(binary, "serve", "--listen", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0",
		"--data", data, "--nats-config", natsConfig, "--log-format", "json")
	log, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(data))
	}

	ready := make(chan string, 1)
	ended := make(chan error, 1)
	go func() {
		follow(log, ready, stderr)
		ended <- cmd.Wait()
	}()
	stop = func() error {
		defer os.RemoveAll(data)
		// One that has ended already is reported by its exit status.
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(stopWithin, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		if err := <-ended; err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(binary), err)
		}
		return nil
	}
	select {
	case url = <-ready:
		if url != "" {
			return url, stop, nil
		}
		err = errors.New("it ended before it was ready")
	case <-time.After(startWithin):
		err = fmt.Errorf("it is not ready after %v", startWithin)
	case <-ctx.Done():
		err = ctx.Err()
	}
	return "", nil, errors.Join(err, stop())
}

// follow reads the log to its end. It sends the URL of the API when the log
// says it, and "" at the end.
func follow(log io.Reader, ready chan<- string, stderr io.Writer) {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct{ Level string }
		// What is not a line of the log, like a panic, is worth showing too.
		if json.Unmarshal(lines.Bytes(), &line) != nil || line.Level == "WARN" || line.Level == "ERROR" {
			fmt.Fprintf(stderr, "%s\n", lines.Bytes())
		}
		if url, _, ok := proc.Listening(lines.Bytes()); ok {
			offer(ready, url)
		}
	}
	offer(ready, "")
	_, _ = io.Copy(io.Discard, log) // after a line that was too long
}

// offer sends only the first value.
func offer(c chan<- string, s string) {
	select {
	case c <- s:
	default:
	}
}
