package streams_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/streams"
)

// audited waits until everything has been compared at least once from now on.
func (f *fixture) audited() {
	f.t.Helper()
	f.removeConsumer("db_canary")
	eventually(f.t, "the consumer of the canary is made again", func() bool {
		_, err := f.js.Consumer(f.t.Context(), "FIRES", "db_canary")
		return err == nil
	})
	f.change("DEAD", func(c *jetstream.StreamConfig) { c.NoAck = true })
	eventually(f.t, "DEAD is mended", func() bool { return !f.config("DEAD").NoAck })
}

// The workers of a route without fires sleep. When its consumer is recreated, it delivers
// fires that nobody has announced, so the workers are woken.
func TestRemadeConsumerWakesTheWorkers(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{AuditEvery: soon})
	r := f.route("r", job.REST)
	f.run()
	told := f.stirs()
	f.removeConsumer("db_r")
	f.stirred(told, r.RouteKey)
}

// On a disk that does not distinguish case, a consumer is not recreated in the folder of
// another. The start has reported it, and nothing else stops.
func TestConsumerIsNotRemadeInTheFolderOfAnother(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{OnlyNode: true})
	f.route("Tn", job.NATS)
	f.route("tn", job.NATS)
	f.route("canary", job.NATS)
	f.reopen(streams.Config{OnlyNode: true, DiskIgnoresCase: true, AuditEvery: soon})
	f.run()
	f.removeConsumer("db_tn")
	f.audited()
	f.audited()
	if _, err := f.js.Consumer(t.Context(), "FIRES", "db_tn"); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Errorf("the consumer of the route without a folder: %v, want none", err)
	}
	if err := f.Ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
}

// The longest wait of a pull is the operator's on an external server, and Belfry's where
// it is configured.
func TestLongestPullOfASubscriber(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cfg  streams.Config
		want time.Duration
	}{
		"the operator's": {streams.Config{AuditEvery: soon}, 5 * time.Second},
		"Belfry's":       {streams.Config{AuditEvery: soon, MaxPullWait: time.Minute}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t, tt.cfg)
			f.route("turns", job.NATS)
			f.route("canary", job.NATS)
			f.run()
			longest := func() *jetstream.ConsumerConfig {
				c, err := f.js.Consumer(t.Context(), "FIRES", turns)
				if err != nil {
					t.Fatal(err)
				}
				return &c.CachedInfo().Config
			}
			edited := longest()
			edited.MaxRequestExpires = 5 * time.Second
			if _, err := f.js.UpdateConsumer(t.Context(), "FIRES", *edited); err != nil {
				t.Fatal(err)
			}
			f.audited()
			eventually(t, "it is "+tt.want.String(), func() bool { return longest().MaxRequestExpires == tt.want })
			f.audited()
			if got := longest().MaxRequestExpires; got != tt.want {
				t.Errorf("the longest pull is %v, want %v", got, tt.want)
			}
		})
	}
}

// A limit of consumers that the account allows is harmless, and so is a FIRES without one
// until the next start.
func TestLimitOfConsumersIsNoHarm(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{AuditEvery: soon})
	f.route("canary", job.NATS)
	f.run()
	for _, limit := range []int{5000, -1} {
		f.change("FIRES", func(c *jetstream.StreamConfig) { c.MaxConsumers = limit })
		f.audited()
		f.audited()
		if got := f.config("FIRES").MaxConsumers; got != limit {
			t.Errorf("the limit %d became %d", limit, got)
		}
		if err := f.Ready(t.Context()); err != nil {
			t.Errorf("not ready with the limit %d: %v", limit, err)
		}
	}
}
