package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"belfry/api"
	"belfry/internal/loglimit"
	"belfry/streams"
)

// front is the place where the API will be served. Until the API is ready, it answers
// that the start is under way.
type front struct {
	server     *http.Server
	serves     *atomic.Pointer[http.Handler]
	cert       *certificate // nil is plain HTTP
	adminToken string
}

func (s *Server) openFront(ctx context.Context) (front, error) {
	admin, err := untilWhole(ctx, s.cfg.adminToken)
	if err != nil {
		return front{}, mistake{err}
	}
	cert, err := untilWhole(ctx, s.certificate)
	if err != nil {
		return front{}, mistake{err}
	}
	listener, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return front{}, fmt.Errorf("couldn't listen for the API (--listen): %w", err)
	}
	s.setPlace(&s.addr, listener.Addr().String())
	starting := api.Starting(s.log, s.startsWith)
	at := front{serves: &atomic.Pointer[http.Handler]{}, cert: cert, adminToken: admin}
	at.serves.Store(&starting)
	at.server = s.newHTTPServer(tellToClose(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*at.serves.Load()).ServeHTTP(w, r) })))
	s.onStop("API listener", stopLimit, func(context.Context) error {
		err := at.server.Close()
		if closing := listener.Close(); err == nil && !errors.Is(closing, net.ErrClosed) {
			err = closing // the server may not have begun yet
		}
		return err
	})
	s.serveHTTP(at.server, listener, cert)
	return at, nil
}

// startIs notes the current step of the start; /readyz reports it.
func (s *Server) startIs(doing string) { s.setPlace(&s.starting, doing) }

func (s *Server) startsWith() string {
	s.addrs.Lock()
	defer s.addrs.Unlock()
	return s.starting
}

func (s *Server) serveAPI(ctx context.Context, at front, ops api.Operations, store *streams.Store, memory memory, told telemetry) {
	loopback := s.loopbackHost(ctx)
	s.warnIfPlain(at.adminToken != "" && loopback == "")
	handler := api.New(api.Config{
		Operations:   ops,
		Letters:      store.Letters(),
		Attempts:     store.Attempts(),
		Tokens:       store.Tokens(),
		Backups:      store.Backups(),
		AdminToken:   at.adminToken,
		LoopbackHost: loopback,
		RequestRate:  s.cfg.RequestRate,
		Memory:       memory.requests,
		Admit:        awaitTurn,
		Metrics:      told.counts.API,
		Tracer:       told.tracer,
		Scrape:       told.scrape,
		Log:          s.log,
		Version:      version,
		Ready:        s.ready(store),
		Warnings:     store.Warnings,
	})
	at.serves.Store(&handler)
	if at.cert != nil {
		s.spawn("certificate", stopLimit, at.cert.run)
	}
	s.onStop("API", httpLimit, func(ctx context.Context) error {
		if err := at.server.Shutdown(ctx); err != nil {
			return errors.Join(err, at.server.Close())
		}
		return nil
	})
}

// warnIfPlain warns that tokens travel where others may read them.
func (s *Server) warnIfPlain(exposed bool) {
	if exposed && s.cfg.TLSCert == "" {
		s.log.Warn("tokens are sent to the API in the clear: set --tls-cert and --tls-key, unless a proxy in front of it has TLS")
	}
}

// serveHTTP serves on the API's listener, with TLS if there is a certificate.
func (s *Server) serveHTTP(srv *http.Server, listener net.Listener, cert *certificate) {
	limited := limitConnections(listener, s.cfg.MaxConnections)
	closeUnused(srv, limited.stateOf)
	srv.ConnContext = withGuest
	serve := srv.Serve
	if cert != nil {
		srv.TLSConfig = cert.config()
		serve = func(l net.Listener) error { return srv.ServeTLS(l, "", "") }
	}
	s.serveOn(limited, serve, "API")
}

func (s *Server) newHTTPServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10, // ids are part of the path
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

// closeUnused makes Shutdown close the connections that have sent nothing yet, which
// clients open ahead of need. By itself Shutdown waits 5 s for their requests.
func closeUnused(srv *http.Server, also func(net.Conn, http.ConnState)) {
	var unused sync.Map // holds net.Conn
	srv.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateNew {
			unused.Store(c, nil)
		} else {
			unused.Delete(c)
		}
		also(c, state)
	}
	srv.RegisterOnShutdown(func() {
		unused.Range(func(c, _ any) bool {
			_ = c.(net.Conn).Close() // its client may have been faster
			return true
		})
	})
}
