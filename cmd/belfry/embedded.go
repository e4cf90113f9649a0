package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nkeys"

	"belfry/api/service"
	"belfry/streams"
)

// recordOverhead is the room a stored job or fire needs beside its meta, in
// bytes, for its headers and its other fields. NATS counts all of it as
// payload.
const recordOverhead = 64 << 10

// natsOptions returns the options of the embedded server: those of
// --nats-config, under what the other flags say. It only reads.
//
// JetStream is always on and always below the data folder, so a store_dir in
// the file is an error. Signals and logging are Belfry's.
func natsOptions(ctx context.Context, cfg Config) (*server.Options, error) {
	opts := &server.Options{}
	if cfg.NATSConfig != "" {
		var err error
		if opts, err = server.ProcessConfigFile(cfg.NATSConfig); err != nil {
			// It has a line for each mistake.
			reason := strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
			return nil, fmt.Errorf("--nats-config %q: couldn't load it: %s", cfg.NATSConfig, reason)
		}
	}
	switch {
	case opts.StoreDir != "":
		return nil, fmt.Errorf("--nats-config %q: leave store_dir out: --data says where the data is", cfg.NATSConfig)
	case len(opts.Accounts) > 0 || len(opts.TrustedOperators) > 0:
		// Belfry and its subscribers meet in one account.
		return nil, fmt.Errorf("--nats-config %q: the embedded server has one account: leave accounts and operator out, or run a nats-server of your own and use --nats-url", cfg.NATSConfig)
	}
	opts.NoSigs = true
	opts.Trace = false // would log payloads
	opts.ServerName = cmp.Or(opts.ServerName, "belfry")
	opts.JetStream = true
	opts.DisableJetStreamBanner = true
	opts.StoreDir = cfg.Data // the server adds /jetstream
	if opts.SyncInterval == 0 {
		opts.SyncAlways = true // an answered request is on disk
	}
	if err := setListen(ctx, opts, cfg); err != nil {
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
	if hasAuth(opts) || cfg.Insecure {
		return nil
	}
	if err := checkLoopback(ctx, listenAddr(opts)); err != nil {
		return fmt.Errorf("the embedded nats-server would listen on %q: %w, and --nats-config has no authorization: listen on 127.0.0.1, configure authorization, or add --insecure to serve everyone who can reach it", listenAddr(opts), err)
	}
	return nil
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

// checkPortFree tells whether the embedded server can listen where it shall.
// The server listens only after it has opened its store, and by itself, so
// this is an early look and no promise.
func checkPortFree(opts *server.Options) error {
	l, err := net.Listen("tcp", listenAddr(opts))
	if err != nil {
		return fmt.Errorf("couldn't listen for NATS clients (--nats-listen): %w", err)
	}
	return l.Close()
}

// embedded is a running nats-server inside this process.
type embedded struct {
	server *server.Server
	keys   map[string]nkeys.KeyPair // of Belfry's own users, by connection, when the server asks for one
}

// startEmbedded starts the server and returns when it takes connections.
// Reading a large store may take long; ctx can end it.
func startEmbedded(ctx context.Context, opts *server.Options, log *slog.Logger) (*embedded, error) {
	e := &embedded{keys: map[string]nkeys.KeyPair{}}
	if hasAuth(opts) {
		if err := errors.Join(e.addUser(opts, storeConn, nil), e.addUser(opts, serviceConn, servicePermissions())); err != nil {
			return nil, fmt.Errorf("couldn't make a user for the embedded nats-server: %w", err)
		}
	}
	ns, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("couldn't make the embedded nats-server: %w", err)
	}
	e.server = ns
	natsLog := &natsLog{log: log}
	ns.SetLoggerV2(natsLog, opts.Debug, false, false)

	started := make(chan struct{})
	go func() {
		defer close(started)
		ns.Start()
	}()
	select {
	case <-started:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err == nil {
		err = natsLog.fatal()
	}
	if err == nil && !ns.ReadyForConnections(10*time.Second) {
		err = errors.New("it takes no connections after 10 s")
	}
	if err != nil {
		ns.Shutdown()
		<-started
		return nil, fmt.Errorf("couldn't start the embedded nats-server: %w", err)
	}
	return e, nil
}

// addUser gives a connection of Belfry a user of its own, with a key that nobody
// else has, so that it gets into a server whose passwords it need not know. nil
// permissions are all.
func (e *embedded) addUser(opts *server.Options, connection string, may *server.Permissions) error {
	key, err := nkeys.CreateUser()
	if err != nil {
		return err
	}
	public, err := key.PublicKey()
	if err != nil {
		return err
	}
	e.keys[connection] = key
	opts.Nkeys = append(opts.Nkeys, &server.NkeyUser{Nkey: public, Permissions: may})
	return nil
}

// servicePermissions keep the NATS service from being made to write where its
// callers may not: they choose the subject that an answer goes to, also that of
// $SRV, which micro answers by itself.
func servicePermissions() *server.Permissions {
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Deny: streams.WriteSubjects()},
		Subscribe: &server.SubjectPermission{Allow: []string{service.Name + ".>", micro.APIPrefix + ".>"}},
	}
}

// connection returns what a client in this process needs for the connection of
// that name.
func (e *embedded) connection(name string) ([]nats.Option, error) {
	opts := []nats.Option{nats.InProcessServer(e.server)}
	key := e.keys[name]
	if key == nil {
		return opts, nil
	}
	public, err := key.PublicKey()
	if err != nil {
		return nil, err
	}
	return append(opts, nats.Nkey(public, key.Sign)), nil
}

// stop ends the server; its data stays. It fails if the server is still busy
// when ctx ends.
func (e *embedded) stop(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.server.Shutdown()
		e.server.WaitForShutdown()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
