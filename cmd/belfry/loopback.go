package main

import (
	"context"
	"errors"
	"fmt"
	"net"
)

var errNotLoopback = errors.New("not a loopback address")

// checkLoopback accepts a host:port whose host is a loopback address, or a name that
// resolves to loopback addresses only. Otherwise the error is [errNotLoopback], or says
// why the name cannot be resolved.
func checkLoopback(ctx context.Context, hostport string) error {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return err
	}
	if host == "" {
		return errNotLoopback // all interfaces
	}
	addrs, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return fmt.Errorf("couldn't resolve the host: %w", err)
	}
	for _, a := range addrs {
		if !a.IP.IsLoopback() {
			return errNotLoopback
		}
	}
	return nil
}

// loopbackHost is the host of --listen if it is a loopback one, else empty.
func (s *Server) loopbackHost(ctx context.Context) string {
	host, _, err := net.SplitHostPort(s.cfg.Listen)
	if err != nil || checkLoopback(ctx, s.cfg.Listen) != nil {
		return ""
	}
	return host
}
