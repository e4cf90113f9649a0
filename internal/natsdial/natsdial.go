// Package natsdial connects to NATS servers so that one that falls silent is
// noticed within seconds and left for another.
//
// A server whose machine loses power, or whose packets are dropped on the way,
// closes nothing: without this package a client waits for minutes. The client
// pings once a second, so a live server sends something at least that often. A
// connection is silent when no byte has come for [Limit] and the kernel has not
// been able to pass on what was sent either. A pong may stand behind other data
// for as long as it likes, since all data counts, and a large upload on a slow
// line counts as well as long as the other machine acknowledges it.
//
// It does not judge servers that answer slowly: a server that sends anything is
// there.
package natsdial

import (
	"time"

	"github.com/nats-io/nats.go"
)

// tick is how often the client pings, and how often a connection is judged.
const tick = time.Second

// silentTicks is how many ticks in a row may pass without a sign of life. They
// are counted one by one, so that a process that was suspended does not take its
// own sleep for the server's.
const silentTicks = 4

// Limit is how long a server may be silent.
const Limit = silentTicks * tick

// pongsLate is how many pongs may be outstanding before the client library gives
// up by itself. It is the last resort, since it takes no other data into account.
const pongsLate = 60

// Options make a connection notice silence. They belong behind those that choose
// a dialer, which is still used.
func Options() []nats.Option {
	return []nats.Option{
		nats.PingInterval(tick),
		nats.MaxPingsOutstanding(pongsLate),
		// Without it a write that fails leaves the connection as it is.
		nats.ReconnectOnFlusherError(),
		// The dialer looks names up, within its time.
		nats.SkipHostLookup(),
		func(o *nats.Options) error {
			o.CustomDialer = &dialer{through: o.CustomDialer, timeout: o.Timeout, silent: map[string]time.Time{}}
			return nil
		},
	}
}
