package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"
)

// natsListener is one of the ports that a nats-server can listen on.
type natsListener struct {
	name string // in front of "would listen"
	host string // empty is all interfaces
	port int    // zero is no listener, -1 a free port
	auth bool   // clients must say who they are
	key  string // the key in --nats-config that would set auth, if there is one
}

// natsListeners returns all listeners that opts configure. nats-server does not ask the
// same of clients on each of them: a block of the listener's own counts, and for
// listeners that serve clients the block for all clients counts, too.
func natsListeners(opts *server.Options) []natsListener {
	const its = "of the embedded nats-server"
	auth := hasAuth(opts)
	ws, mqtt, leaf, gateway, cluster := opts.Websocket, opts.MQTT, opts.LeafNode, opts.Gateway, opts.Cluster
	monitor := cmp.Or(opts.HTTPHost, opts.Host)
	return []natsListener{
		{"the embedded nats-server", opts.Host, opts.Port, auth, "authorization"},
		{"websocket " + its, ws.Host, ws.Port, auth || ws.Username != "" || ws.Token != "", "authorization"},
		{"mqtt " + its, mqtt.Host, mqtt.Port, auth || mqtt.Username != "" || mqtt.Token != "", "authorization"},
		{"leafnodes " + its, leaf.Host, leaf.Port, auth || leaf.Username != "" || leaf.Nkey != "" || len(leaf.Users) > 0, "authorization"},
		{"gateway " + its, gateway.Host, gateway.Port, gateway.Username != "" || gateway.TLSCheckKnownURLs, "authorization in gateway"},
		{"cluster " + its, cluster.Host, cluster.Port, cluster.Username != "" || cluster.TLSCheckKnownURLs, "authorization in cluster"},
		// The page asks nobody who they are.
		{"http " + its, monitor, opts.HTTPPort, false, ""},
		{"https " + its, monitor, opts.HTTPSPort, false, ""},
	}
}

// checkListeners refuses a listener beyond loopback that lets everyone in.
func checkListeners(ctx context.Context, opts *server.Options) error {
	for _, l := range natsListeners(opts) {
		if l.port == 0 || l.auth {
			continue
		}
		addr := net.JoinHostPort(l.host, strconv.Itoa(max(l.port, 0)))
		err := checkLoopback(ctx, addr)
		switch {
		case err != nil && l.key == "":
			return fmt.Errorf("%s would listen on %q: %w, and it asks nobody who they are: listen on 127.0.0.1, or add --insecure to serve everyone who can reach it", l.name, addr, err)
		case err != nil:
			return fmt.Errorf("%s would listen on %q: %w, and --nats-config has no %s: listen on 127.0.0.1, configure %[4]s, or add --insecure to serve everyone who can reach it", l.name, addr, err, l.key)
		}
	}
	return nil
}
