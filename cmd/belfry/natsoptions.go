package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// recordOverhead is the room in bytes that a stored job or fire needs beside its meta,
// for its headers and its other fields. NATS counts all of it as payload.
const recordOverhead = 64 << 10

// natsOptions returns the options of the embedded server: the options in
// --nats-config, which the other flags override. It only reads.
//
// JetStream is always on and always below the data folder, so a store_dir in
// the file is an error. Signals and logging are Belfry's.
func natsOptions(ctx context.Context, cfg Config) (*server.Options, error) {
	opts := &server.Options{}
	if cfg.NATSConfig != "" {
		var err error
		opts, err = untilWhole(ctx, func() (*server.Options, error) { return server.ProcessConfigFile(cfg.NATSConfig) })
		if err != nil {
			// It has a line for each mistake.
			reason := strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
			return nil, fmt.Errorf("--nats-config %q: couldn't load it: %s", cfg.NATSConfig, reason)
		}
	}
	switch {
	case opts.StoreDir != "":
		return nil, fmt.Errorf("--nats-config %q: leave store_dir out: --data says where the data is", cfg.NATSConfig)
	case len(opts.Accounts) > 0 || len(opts.TrustedOperators) > 0 || len(opts.TrustedKeys) > 0 || opts.SystemAccount != "" || opts.AuthCallout != nil:
		// Belfry makes the accounts, and decides which users are in which.
		return nil, fmt.Errorf("--nats-config %q: Belfry makes the accounts of the embedded server: leave accounts, operator, trusted, system_account and auth_callout out, or run a nats-server of your own and use --nats-url", cfg.NATSConfig)
	}
	opts.NoSigs = true
	opts.Trace = false // traces would log payloads
	opts.ServerName = cmp.Or(opts.ServerName, "belfry")
	opts.JetStream = true
	opts.DisableJetStreamBanner = true
	opts.StoreDir = cfg.Data // the server adds /jetstream
	// A subscriber or a server of its cluster that falls silent is noticed in half
	// a minute, where the server itself would take six.
	opts.PingInterval = cmp.Or(opts.PingInterval, 10*time.Second)
	if opts.SyncInterval == 0 {
		opts.SyncAlways = true // an answered request is on disk
	}
	if err := setListen(ctx, opts, cfg); err != nil {
		return nil, err
	}
	admins, _ := names(cfg.NATSAdmins) // checked before
	if err := separateUsers(opts, admins, cfg.names()); err != nil {
		return nil, err
	}
	return opts, setMaxPayload(opts, cfg)
}

func setListen(ctx context.Context, opts *server.Options, cfg Config) error {
	if cfg.NATSListen != "" {
		host, port, err := net.SplitHostPort(cfg.NATSListen)
		if err != nil {
			return err
		}
		if opts.Port, err = strconv.Atoi(port); err != nil {
			return err
		}
		if opts.Port == 0 {
			opts.Port = server.RANDOM_PORT
		}
		opts.Host = cmp.Or(host, opts.Host)
	}
	opts.Host = cmp.Or(opts.Host, "127.0.0.1")
	opts.Port = cmp.Or(opts.Port, server.DEFAULT_PORT)
	if cfg.Insecure {
		return nil
	}
	return checkListeners(ctx, opts)
}

// setMaxPayload makes room for the largest job, unless the configuration file
// set a limit that is too small.
func setMaxPayload(opts *server.Options, cfg Config) error {
	need := int32(cfg.MaxMeta + recordOverhead)
	if opts.MaxPayload == 0 {
		opts.MaxPayload = max(need, server.MAX_PAYLOAD_SIZE)
	}
	if err := checkPayload(int64(opts.MaxPayload), cfg); err != nil {
		return fmt.Errorf("--nats-config %q: %w", cfg.NATSConfig, err)
	}
	return nil
}

// checkPayload compares a server's max_payload with what the largest job needs.
func checkPayload(maxPayload int64, cfg Config) error {
	if need := int64(cfg.MaxMeta + recordOverhead); maxPayload < need {
		return fmt.Errorf("its max_payload of %d bytes is too small for --max-meta of %d bytes: max_payload must be at least %d, or --max-meta at most %d",
			maxPayload, cfg.MaxMeta, need, maxPayload-recordOverhead)
	}
	return nil
}

func hasAuth(opts *server.Options) bool {
	return opts.Username != "" || opts.Authorization != "" || len(opts.Users) > 0 || len(opts.Nkeys) > 0
}

func listenAddr(opts *server.Options) string {
	return net.JoinHostPort(opts.Host, strconv.Itoa(max(opts.Port, 0)))
}

// checkPortFree reports whether the embedded server can listen on its port. The server
// listens only after it has opened its store, and does so by itself, so this is an early
// check and not a promise.
func checkPortFree(opts *server.Options) error {
	l, err := net.Listen("tcp", listenAddr(opts))
	if err != nil {
		return fmt.Errorf("couldn't listen for NATS clients (--nats-listen): %w", err)
	}
	return l.Close()
}
