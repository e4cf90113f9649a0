package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/synadia-io/orbit.go/natscontext"

	"belfry/internal/loglimit"
	"belfry/internal/natsdial"
)

// These are the names of Belfry's connections, as NATS tools show them.
const (
	storeConn    = "belfry"          // for the timer, which fires
	workersConn  = "belfry workers"  // for the workers
	requestsConn = "belfry requests" // for the API's reads and writes
	serviceConn  = "belfry service"  // for the NATS service's own messages
)

// dial opens the connection of that name to the NATS server in use.
type dial func(name string) (*nats.Conn, error)

// chooseNATS checks the options of an embedded server, and returns the function that
// brings up the NATS server in use.
func (s *Server) chooseNATS(ctx context.Context) (func(context.Context) (dial, error), error) {
	if !s.cfg.embedded() {
		return s.useNATS, nil
	}
	opts, err := natsOptions(ctx, s.cfg)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (dial, error) { return s.embedNATS(ctx, opts) }, nil
}

// embedNATS takes the data folder and starts the embedded server on it. Stop undoes its
// work, also after a failure.
func (s *Server) embedNATS(ctx context.Context, opts *server.Options) (dial, error) {
	if err := checkPortFree(opts); err != nil {
		return nil, err
	}
	dir, err := lockData(s.cfg.Data)
	if err != nil {
		return nil, err
	}
	s.onStop("data folder", stopLimit, func(context.Context) error { return dir.unlock() })
	if err := s.useDisk(ctx, dir); err != nil {
		return nil, err
	}
	s.probeDisk()
	s.syncAlways, s.storeLimit = opts.SyncAlways, opts.JetStreamMaxStore
	if !opts.SyncAlways {
		s.log.Warn("a power loss can lose what was answered: --nats-config sets another sync_interval than always")
	}
	e, err := startEmbedded(ctx, opts, s.cfg.names(), s.log)
	if err != nil {
		return nil, err
	}
	s.disk.runs(e)
	s.onStop("nats-server", stopLimit, s.stopEmbedded(e))
	if s.usersApart = len(opts.Accounts) > 0; s.usersApart {
		s.spawn("guard of replies", stopLimit, newReplyGuard(e.server, maxReplies, s.log).Run)
	}
	s.setPlace(&s.natsURL, e.server.ClientURL())
	return func(name string) (*nats.Conn, error) {
		conn, err := e.connection(name)
		if err != nil {
			return nil, err
		}
		nc, err := nats.Connect("", append(conn, s.connOptions(name)...)...)
		if err != nil {
			return nil, fmt.Errorf("couldn't connect to the embedded nats-server: %w", err)
		}
		s.closeLater(nc, name)
		return nc, nil
	}, nil
}

// useNATS connects to an external server.
func (s *Server) useNATS(ctx context.Context) (dial, error) {
	open := s.openURL
	if s.cfg.NATSContext != "" {
		open = s.openContext
	}
	return func(name string) (*nats.Conn, error) {
		nc, err := s.untilUp(ctx, func() (*nats.Conn, error) {
			return openAny(func(more ...nats.Option) (*nats.Conn, error) {
				return open(append(append(s.connOptions(name), natsdial.Options()...), more...)...)
			})
		})
		if err != nil {
			return nil, fmt.Errorf("couldn't connect to %s: %w", s.otherServer(), err)
		}
		s.closeLater(nc, name)
		if err := checkPayload(nc.MaxPayload(), s.cfg); err != nil {
			return nil, mistake{fmt.Errorf("%s: %w", s.otherServer(), err)}
		}
		if name == storeConn {
			s.setPlace(&s.natsURL, "nats://"+nc.ConnectedAddr())
			s.warnOfNeighbours(nc)
		}
		s.startIs("the data on " + s.otherServer() + " is read")
		return nc, nil
	}, nil
}

// otherServer names the external server, without credentials.
func (s *Server) otherServer() string {
	if s.cfg.NATSContext != "" {
		return fmt.Sprintf("the server of the context %q", s.cfg.NATSContext)
	}
	return "the server of --nats-url at " + natsHosts(s.cfg.NATSURL)
}

// openURL connects to the server of --nats-url, as the user of the flags.
func (s *Server) openURL(opts ...nats.Option) (*nats.Conn, error) {
	if s.cfg.NATSCreds != "" {
		opts = append(opts, nats.UserCredentials(s.cfg.NATSCreds))
	}
	if s.cfg.NATSNKey != "" {
		nkey, err := nats.NkeyOptionFromSeed(s.cfg.NATSNKey)
		if err != nil {
			return nil, mistake{fmt.Errorf("--nkey: %w", err)}
		}
		opts = append(opts, nkey)
	}
	if s.cfg.NATSCert != "" {
		opts = append(opts, nats.ClientCert(s.cfg.NATSCert, s.cfg.NATSKey))
	}
	if s.cfg.NATSCA != "" {
		opts = append(opts, nats.RootCAs(s.cfg.NATSCA))
	}
	if s.cfg.NATSTLSFirst {
		opts = append(opts, nats.TLSHandshakeFirst())
	}
	return nats.Connect(s.cfg.NATSURL, opts...)
}

// openContext connects as the context of the nats command says.
func (s *Server) openContext(opts ...nats.Option) (*nats.Conn, error) {
	nc, settings, err := natscontext.Connect(s.cfg.NATSContext, opts...)
	var bad *url.Error
	switch {
	case errors.As(err, &bad):
		return nil, mistake{fmt.Errorf("its url: %w", bad.Err)} // without the URL, which may have a password
	case err != nil && (strings.HasPrefix(err.Error(), "unknown context") || strings.HasPrefix(err.Error(), "invalid context")):
		return nil, mistake{err}
	case err != nil:
		return nil, err
	case settings.JSDomain != "" || settings.JSAPIPrefix != "":
		nc.Close()
		return nil, mistake{errors.New("it has a jetstream_domain or a jetstream_api_prefix; Belfry works where it connects to: a context without either is accepted")}
	}
	return nc, nil
}

// natsHosts returns the value of --nats-url, which must be valid, without its
// credentials.
func natsHosts(list string) string {
	urls, _ := natsURLs(list)
	var hosts []string
	for _, u := range urls {
		hosts = append(hosts, u.Host)
	}
	return strings.Join(hosts, ",")
}

// connOptions are the options of every connection. A lost connection comes back by
// itself, even if the server refuses its user for a while, since the user's credentials
// may be renewed.
func (s *Server) connOptions(name string) []nats.Option {
	s.natsCounts.Opened(name)
	return []nats.Option{
		nats.Name(name),
		s.inboxes.random,
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil when we close it
				s.natsCounts.Lost(name)
				loglimit.Warn(s.log, "lost the connection to NATS", "connection", name, "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { loglimit.Info(s.log, "connected to NATS again", "connection", name) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			ctx := loglimit.Cause(context.Background())
			if errors.Is(err, nats.ErrPermissionViolation) { // a caller of the service can cause it
				ctx = loglimit.Outside(ctx, "NATS reports a violation")
			}
			s.log.WarnContext(ctx, "NATS reports an error", "connection", name, "subject", subject, "error", err)
		}),
	}
}

// closeLater notes a connection to close when the server stops.
func (s *Server) closeLater(nc *nats.Conn, name string) {
	s.onStop("NATS connection "+name, flushLimit, func(ctx context.Context) error {
		defer nc.Close()
		err := nc.FlushWithContext(ctx) // the last acks
		if errors.Is(err, nats.ErrConnectionClosed) || !nc.IsConnected() {
			return nil // nobody there to hear them
		}
		return err
	})
}
