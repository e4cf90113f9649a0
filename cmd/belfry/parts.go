package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// step undoes one thing that Start did, within limit.
type step struct {
	name  string
	limit time.Duration
	do    func(context.Context) error
}

// stopLimit bounds [Server.Stop], below the 30 s that service managers grant. The parts
// that wait for others get a share of it each, 27 s together, so that one second is left
// to close the store. A part that waits for nobody needs no share and has stopLimit
// itself.
const (
	stopLimit     = 28 * time.Second
	serviceLimit  = 2 * time.Second  // requests under way over NATS
	httpLimit     = 2 * time.Second  // and over HTTP
	timerLimit    = 3 * time.Second  // publishes under way
	deliveryGrace = 16 * time.Second // webhooks under way, each of which may take 15 s
	deliveryLimit = deliveryGrace + time.Second
	attemptsLimit = 1500 * time.Millisecond
	flushLimit    = 250 * time.Millisecond // for each of the four NATS connections
	tracesLimit   = 500 * time.Millisecond

	// hurryLimit is the share of each part while no write works: work in flight cannot
	// finish then, and is repeated after the start.
	hurryLimit = time.Second
)

// onStop notes how to undo the last step.
func (s *Server) onStop(name string, limit time.Duration, undo func(context.Context) error) {
	s.undo = append(s.undo, step{name, limit, undo})
}

func (s *Server) takeBack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	var errs []error
	for i := len(s.undo) - 1; i >= 0; i-- {
		step := s.undo[i]
		limit := step.limit
		if limit < stopLimit && s.hurry.Load() {
			limit = min(limit, hurryLimit)
		}
		limited, cancel := context.WithTimeout(ctx, limit)
		if err := step.do(limited); err != nil {
			errs = append(errs, fmt.Errorf("couldn't end the %s cleanly: %w", step.name, err))
		}
		cancel()
	}
	s.undo = nil
	return errors.Join(errs...)
}

// spawn runs a part until it is stopped. A part that ends sooner has failed.
func (s *Server) spawn(name string, limit time.Duration, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		err := run(ctx)
		if ctx.Err() == nil {
			s.fail(name, err)
			err = nil // report it once
		}
		ended <- err
	}()
	s.onStop(name, limit, func(limited context.Context) error {
		cancel()
		select {
		case err := <-ended:
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		case <-limited.Done():
			return limited.Err()
		}
	})
}

// fail reports that a part has ended by itself. One is enough to give up; further
// failures go to the log.
func (s *Server) fail(name string, err error) {
	if err == nil {
		err = errors.New("it returned")
	}
	select {
	case s.failed <- fmt.Errorf("the %s ended by itself: %w", name, err):
	default:
		s.log.Error("another part ended by itself", "part", name, "error", err)
	}
}
