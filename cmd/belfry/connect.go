package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// The names of Belfry's connections, as NATS tools show them.
const (
	storeConn   = "belfry"         // of the store
	serviceConn = "belfry service" // of the NATS service, whose requests delay no ack
)

// dial opens the connection of that name to the NATS server in use.
type dial func(name string) (*nats.Conn, error)

// embedNATS takes the data folder and starts the embedded server on it. What it
// has done is taken back by Stop, a failure or not.
func (s *Server) embedNATS(ctx context.Context, opts *server.Options) (dial, error) {
	if err := checkPortFree(opts); err != nil {
		return nil, err
	}
	unlock, err := lockData(s.cfg.Data)
	if err != nil {
		return nil, err
	}
	s.done("data folder", stopLimit, func(context.Context) error { return unlock() })
	s.syncAlways = opts.SyncAlways
	if !opts.SyncAlways {
		s.log.Warn("a power loss can lose what was answered: --nats-config sets another sync_interval than always")
	}
	e, err := startEmbedded(ctx, opts, s.log)
	if err != nil {
		return nil, err
	}
	s.done("nats-server", stopLimit, e.stop)
	s.setPlace(&s.natsURL, e.server.ClientURL())
	return func(name string) (*nats.Conn, error) {
		conn, err := e.connection(name)
		if err != nil {
			return nil, err
		}
		nc, err := s.connect("", name, conn...)
		if err != nil {
			return nil, fmt.Errorf("couldn't connect to the embedded nats-server: %w", err)
		}
		return nc, nil
	}, nil
}

// useNATS is for the server of --nats-url.
func (s *Server) useNATS(context.Context) (dial, error) {
	return func(name string) (*nats.Conn, error) {
		nc, err := s.connect(s.cfg.NATSURL, name)
		if err != nil {
			return nil, fmt.Errorf("couldn't connect to the server of --nats-url at %s: %w", natsHosts(s.cfg.NATSURL), err)
		}
		if err := checkPayload(nc.MaxPayload(), s.cfg); err != nil {
			return nil, fmt.Errorf("the server of --nats-url: %w", err)
		}
		s.setPlace(&s.natsURL, "nats://"+nc.ConnectedAddr())
		return nc, nil
	}, nil
}

// natsHosts is what is left of the value of --nats-url, which is a valid one,
// when its credentials are taken out.
func natsHosts(list string) string {
	var hosts []string
	for one := range strings.SplitSeq(list, ",") {
		if u, err := url.Parse(strings.TrimSpace(one)); err == nil {
			hosts = append(hosts, u.Host)
		}
	}
	return strings.Join(hosts, ",")
}

// connect opens a connection. It comes back by itself whenever it is lost.
func (s *Server) connect(urls, name string, opts ...nats.Option) (*nats.Conn, error) {
	opts = append(opts,
		nats.Name(name),
		nats.MaxReconnects(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil when we close it
				s.log.Warn("lost the connection to NATS", "connection", name, "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { s.log.Info("connected to NATS again", "connection", name) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			s.log.Warn("NATS reports an error", "subject", subject, "error", err)
		}),
	)
	nc, err := nats.Connect(urls, opts...)
	if err != nil {
		return nil, err
	}
	s.done("NATS connection "+name, flushLimit, func(ctx context.Context) error {
		defer nc.Close()
		err := nc.FlushWithContext(ctx) // the last acks
		if errors.Is(err, nats.ErrConnectionClosed) || !nc.IsConnected() {
			return nil // nobody there to hear them
		}
		return err
	})
	return nc, nil
}
