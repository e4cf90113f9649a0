package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// These say how often the start tries to reach a NATS server that is not up yet, and how
// often it logs that.
const (
	upEvery     = 500 * time.Millisecond
	sayingEvery = 5 * time.Second
)

// untilUp connects to a NATS server, and waits for one that is not up yet: services that
// are started together come up in any order. A server that refuses Belfry is up.
func (s *Server) untilUp(ctx context.Context, open func() (*nats.Conn, error)) (*nats.Conn, error) {
	begun := time.Now()
	var said time.Time
	for {
		nc, err := openUnder(ctx, open)
		if err == nil || !notUp(err) {
			return nc, err
		}
		err = whyNotUp(err)
		s.startIs(fmt.Sprintf("%s is not up yet: %v", s.otherServer(), err))
		if time.Since(said) >= sayingEvery {
			said = time.Now()
			s.log.Warn("NATS is not up yet; the start waits for it", "server", s.otherServer(), "error", err,
				"waited", time.Since(begun).Round(time.Second), "do", "start the NATS server, or correct --nats-url or --context")
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w, and it is not up yet: %w", ctx.Err(), err)
		case <-time.After(upEvery):
		}
	}
}

// openAny connects to one of the servers of a list. When none is up, it looks for one
// that refuses Belfry: the error of a list is the last server's alone, and it hides
// what the others say.
func openAny(open func(...nats.Option) (*nats.Conn, error)) (*nats.Conn, error) {
	var servers []string
	nc, err := open(func(o *nats.Options) error { servers = slices.Clone(o.Servers); return nil })
	if err == nil || !notUp(err) || len(servers) < 2 {
		return nc, err
	}
	for _, one := range servers {
		nc, alone := open(func(o *nats.Options) error { o.Servers = []string{one}; return nil })
		if alone == nil {
			nc.Close() // it has come up by now, and this connection knows of no other server
			return nil, err
		}
		if !notUp(alone) {
			return nil, alone
		}
	}
	return nil, err
}

// openUnder connects, unless ctx ends before. A connection that comes too late is
// closed.
func openUnder(ctx context.Context, open func() (*nats.Conn, error)) (*nats.Conn, error) {
	type opened struct {
		nc  *nats.Conn
		err error
	}
	came := make(chan opened, 1)
	go func() {
		nc, err := open()
		came <- opened{nc, err}
	}()
	select {
	case o := <-came:
		return o.nc, o.err
	case <-ctx.Done():
		go func() {
			if o := <-came; o.err == nil {
				o.nc.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// notUp reports whether an error of connecting is that nobody answers there.
func notUp(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op == "dial" || op.Op == "read" || op.Op == "write" // any other operation is TLS
	}
	var dns *net.DNSError
	return errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrConnectionClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &dns) || errors.Is(err, context.DeadlineExceeded)
}

// whyNotUp returns the words for an error that has none.
func whyNotUp(err error) error {
	switch {
	case errors.Is(err, nats.ErrNoServers):
		return errors.New("nobody listens there (connection refused)")
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("who listens there says nothing, as a server with handshake_first does without --tlsfirst (tls_first in a context)")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("who listens there closes the connection, as a proxy does without a server behind it")
	}
	return err
}
