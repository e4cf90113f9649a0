package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"belfry/internal/proc"
)

// startWithin is far more than belfry takes to start on no data.
const startWithin = 30 * time.Second

// startBelfry runs a belfry on free ports and returns the URL of its API when
// it is ready. Its data is in a temporary folder beside the binary, since the
// system's may be in memory, where syncing costs nothing. stop ends it and
// removes the data. Warnings and errors in its log go to stderr.
func startBelfry(ctx context.Context, binary, natsConfig string, stderr io.Writer) (url string, stop func() error, err error) {
	data, err := os.MkdirTemp(filepath.Dir(binary), "loadgen-data-")
	if err != nil {
		return "", nil, err
	}
	p := &proc.Process{
		Name: filepath.Base(binary), Path: binary,
		Args: []string{"serve", "--listen", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0",
			"--data", data, "--nats-config", natsConfig, "--log-format", "json"},
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	up, err := p.Serve(ctx, func(l proc.Line) {
		if l.Alarming() {
			fmt.Fprintln(stderr, l.Text)
		}
	})
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(data))
	}
	return up.API, func() error {
		defer os.RemoveAll(data)
		_ = p.Stop() // the error does not matter: it may have ended before
		if err := p.Err(); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		return nil
	}, nil
}
