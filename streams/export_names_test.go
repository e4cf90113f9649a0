package streams

import (
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
)

// The names without a prefix, as most tests use them.
const (
	FiresStream = "FIRES"
	DeadStream  = "DEAD"
)

var (
	jobSubject   = Names("").jobSubject
	jobsPrefix   = Names("").jobsPrefix
	fenceSubject = Names("").fenceSubject
	probeSubject = Names("").probeSubject
	encodeFire   = Names("").encodeFire

	EncodeDead = Names("").encodeDead
)

// Assets are the streams of a store with these names.
func (n Names) Assets(partitions int) []jetstream.StreamConfig {
	return (&Store{cfg: Config{Names: n}.withDefaults()}).assets(partitions)
}

// StreamOf names the stream of a subject.
func (n Names) StreamOf(subject string) string { return n.streamOf(subject) }

// RoundTrip takes a key through each kind of subject that it is read back from.
func (n Names) RoundTrip(k job.Key) (back []job.Key) {
	if p, ok := n.parseJobsStream(n.jobsStream(7)); !ok || p != 7 {
		return nil
	}
	for _, read := range []func() (job.Key, error){
		func() (job.Key, error) { return n.parseJobSubject(7, n.jobSubject(7, k)) },
		func() (job.Key, error) { return n.parseAttemptSubject(n.attemptSubject(k)) },
		func() (job.Key, error) {
			r, err := n.parseRouteSubject(n.routeSubject(job.RouteKey{DB: k.DB, ID: k.ID}))
			return job.Key{DB: r.DB, Collection: k.Collection, ID: r.ID}, err
		},
		func() (job.Key, error) {
			return job.Key{DB: k.DB, Collection: k.Collection, ID: n.parseTokenSubject(n.tokenSubject(k.ID))}, nil
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

// EncodeManifest is the manifest of a store with these names.
func EncodeManifest(n Names) ([]byte, error) {
	return manifest{Prefix: string(n), Made: []string{n.FiresStream()}}.encode()
}
