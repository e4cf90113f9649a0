package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

// serveHTTP serves the API, with TLS if there is a certificate.
func (s *Server) serveHTTP(listener net.Listener, cert *certificate, handler http.Handler) {
	srv := s.newHTTPServer(handler)
	closeUnused(srv)
	serve := srv.Serve
	if cert != nil {
		srv.TLSConfig = cert.config()
		serve = func(l net.Listener) error { return srv.ServeTLS(l, "", "") }
		s.spawn("certificate", stopLimit, cert.run)
	}
	s.serveOn(netutil.LimitListener(listener, s.cfg.MaxConnections), serve, "API")
	s.done("API", httpLimit, func(ctx context.Context) error {
		if err := srv.Shutdown(ctx); err != nil {
			return errors.Join(err, srv.Close())
		}
		return nil
	})
}

func (s *Server) newHTTPServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10, // ids travel in the path
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}

func (s *Server) serveOn(listener net.Listener, serve func(net.Listener) error, name string) {
	go func() {
		if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.fail(name, err)
		}
	}()
}

// closeUnused has Shutdown close the connections that have sent nothing yet, as
// clients open them ahead of need. By itself it waits 5 s for their requests.
func closeUnused(srv *http.Server) {
	var unused sync.Map // of net.Conn
	srv.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateNew {
			unused.Store(c, nil)
		} else {
			unused.Delete(c)
		}
	}
	srv.RegisterOnShutdown(func() {
		unused.Range(func(c, _ any) bool {
			_ = c.(net.Conn).Close() // its client may have been faster
			return true
		})
	})
}
