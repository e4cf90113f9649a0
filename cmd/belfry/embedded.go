package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nkeys"

	"belfry/api/service"
	"belfry/streams/wire"
)

// embedded is a running nats-server inside this process.
type embedded struct {
	server *server.Server
	says   *natsLog
	keys   map[string]nkeys.KeyPair // of Belfry's own users, by connection, when the server asks for one
}

// startEmbedded starts the server and returns when it takes connections.
// Reading a large store may take long; ctx can end it.
func startEmbedded(ctx context.Context, opts *server.Options, n wire.Names, log *slog.Logger) (*embedded, error) {
	e := &embedded{keys: map[string]nkeys.KeyPair{}}
	if hasAuth(opts) {
		if err := errors.Join(e.addUser(opts, storeConn, nil), e.addUser(opts, workersConn, nil), e.addUser(opts, requestsConn, nil),
			e.addUser(opts, serviceConn, servicePermissions(n))); err != nil {
			return nil, fmt.Errorf("couldn't make a user for the embedded nats-server: %w", err)
		}
	}
	ns, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("couldn't make the embedded nats-server: %w", err)
	}
	natsLog := &natsLog{log: log}
	e.server, e.says = ns, natsLog
	ns.SetLoggerV2(natsLog, opts.Debug, false, false)

	started := make(chan struct{})
	var jetStream error // read once started is closed
	go func() {
		defer close(started)
		ns.Start()
		if len(opts.Accounts) > 0 {
			jetStream = enableJetStream(ns, opts)
		}
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
	if err == nil {
		err = jetStream
	}
	if err != nil {
		ns.Shutdown()
		<-started
		return nil, fmt.Errorf("couldn't start the embedded nats-server: %w", err)
	}
	return e, nil
}

// enableJetStream turns JetStream on for the data's account; the server does so by
// itself only if there is no other account. MQTT keeps its sessions in JetStream, in the
// account of its clients.
func enableJetStream(ns *server.Server, opts *server.Options) error {
	if err := ns.GlobalAccount().EnableJetStream(nil, nil); err != nil {
		return err
	}
	if opts.MQTT.Port == 0 {
		return nil
	}
	users, err := ns.LookupAccount(usersAccount)
	if err != nil {
		return err
	}
	return users.EnableJetStream(nil, nil)
}

// addUser gives a connection of Belfry a user of its own, with a key that nobody else
// has, so that it can connect to a server whose passwords it does not know. With nil
// permissions the user may do everything.
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

// servicePermissions keep callers from having the NATS service write where they may not:
// callers choose the subject that an answer goes to, also for $SRV, which micro answers
// by itself.
func servicePermissions(n wire.Names) *server.Permissions {
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Deny: wire.WriteSubjects()},
		Subscribe: &server.SubjectPermission{Allow: []string{n.Subject(service.Subjects), micro.APIPrefix + ".>"}},
	}
}

// connection returns the options that a client in this process needs for the connection
// of that name.
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
