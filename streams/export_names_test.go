package streams

import (
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/streams/wire"
)

// These are the names without a prefix, as most tests use them.
const (
	FiresStream = "FIRES"
	DeadStream  = "DEAD"
)

var (
	fenceSubject = wire.Names("").FenceSubject
	probeSubject = wire.Names("").ProbeSubject
)

// Assets returns the streams of a store with these names.
func Assets(n wire.Names, partitions int) []jetstream.StreamConfig {
	return Config{Names: n}.withDefaults().assets().All(partitions)
}

// RoundTrip puts a key through each kind of subject that it is parsed from.
func RoundTrip(n wire.Names, k job.Key) (back []job.Key) {
	if p, ok := n.ParseJobsStream(n.JobsStream(7)); !ok || p != 7 {
		return nil
	}
	for _, read := range []func() (job.Key, error){
		func() (job.Key, error) { return n.ParseJobSubject(7, n.JobSubject(7, k)) },
		func() (job.Key, error) { return n.ParseAttemptSubject(n.AttemptSubject(k)) },
		func() (job.Key, error) {
			r, err := n.ParseRouteSubject(n.RouteSubject(job.RouteKey{DB: k.DB, ID: k.ID}))
			return job.Key{DB: r.DB, Collection: k.Collection, ID: r.ID}, err
		},
		func() (job.Key, error) {
			return job.Key{DB: k.DB, Collection: k.Collection, ID: n.ParseTokenSubject(n.TokenSubject(k.ID))}, nil
		},
	} {
		k, err := read()
		if err != nil {
			return nil
		}
		back = append(back, k)
	}
	return back
}
