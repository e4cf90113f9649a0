package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"belfry/api"
	"belfry/internal/loglimit"
	"belfry/streams"

	"golang.org/x/net/netutil"
)

// front is where the API is to be served, before there is anything to serve.
type front struct {
	listener   net.Listener
	cert       *certificate // nil is plain HTTP
	adminToken string
}

func (s *Server) openFront() (front, error) {
	admin, err := s.cfg.adminToken()
	if err != nil {
		return front{}, mistake{err}
	}
	cert, err := s.certificate()
	if err != nil {
		return front{}, mistake{err}
	}
	listener, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return front{}, fmt.Errorf("couldn't listen for the API (--listen): %w", err)
	}
	s.onStop("API listener", stopLimit, func(context.Context) error {
		if err := listener.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil // its HTTP server has closed it
	})
	s.setPlace(&s.addr, listener.Addr().String())
	return front{listener, cert, admin}, nil
}

func (s *Server) serveAPI(ctx context.Context, at front, ops api.Operations, store *streams.Store, memory memory, told telemetry) {
	loopback := s.loopbackHost(ctx)
	s.warnIfPlain(at.adminToken != "" && loopback == "")
	s.serveHTTP(at.listener, at.cert, api.New(api.Config{
		Operations:   ops,
		Letters:      store.Letters(),
		Attempts:     store.Attempts(),
		Tokens:       store.Tokens(),
		Backups:      store.Backups(),
		AdminToken:   at.adminToken,
		LoopbackHost: loopback,
		RequestRate:  s.cfg.RequestRate,
		Memory:       memory.requests,
		Metrics:      told.counts.API,
		Tracer:       told.tracer,
		Scrape:       told.scrape,
		Log:          s.log,
		Version:      version,
		Ready:        s.ready(store),
		Warnings:     store.Warnings,
	}))
}

// warnIfPlain tells that tokens travel where others may read them.
func (s *Server) warnIfPlain(exposed bool) {
	if exposed && s.cfg.TLSCert == "" {
		s.log.Warn("tokens are sent to the API in the clear: set --tls-cert and --tls-key, unless a proxy in front of it has TLS")
	}
}

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
	s.onStop("API", httpLimit, func(ctx context.Context) error {
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
		ErrorLog:          slog.NewLogLogger(loglimit.OutsideHandler(s.log.Handler(), "http server"), slog.LevelWarn),
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
