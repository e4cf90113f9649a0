package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"

	"belfry/api"
)

// serveAdmin serves what the people who run this process need: profiles, and the metrics
// again. A profile shows what is in memory, so it is served on loopback only, and to no
// web page that leads there.
func (s *Server) serveAdmin(scrape http.Handler) error {
	if s.cfg.AdminListen == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(s.cfg.AdminListen)
	if err != nil {
		return err // was checked before
	}
	listener, err := net.Listen("tcp", s.cfg.AdminListen)
	if err != nil {
		return fmt.Errorf("couldn't listen for administrators (--admin-listen): %w", err)
	}
	s.setPlace(&s.adminAddr, listener.Addr().String())
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", scrape)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	srv := s.newHTTPServer(api.Local(host, s.log, mux))
	srv.WriteTimeout = 0 // a profile takes as long as the request says
	s.serveOn(listener, srv.Serve, "admin listener")
	// The stop does not wait for a profile that is under way.
	s.onStop("admin listener", stopLimit, func(context.Context) error { return srv.Close() })
	s.log.Info("profiles and metrics are served", "admin", "http://"+listener.Addr().String())
	return nil
}

// AdminAddr returns the host:port of the admin listener, or "" without one.
func (s *Server) AdminAddr() string {
	s.addrs.Lock()
	defer s.addrs.Unlock()
	return s.adminAddr
}
