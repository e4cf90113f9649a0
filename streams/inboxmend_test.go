package streams_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/waittest"
	"belfry/streams"
	"belfry/streams/routes"
)

const turns = "db_turns" // the consumer of the route turns

// fireAll fires the jobs with the numbers in that range on the route turns.
func (f *fixture) fireAll(from, to int) {
	f.t.Helper()
	for i := from; i < to; i++ {
		f.create(newJob(fmt.Sprint(i), "turns", time.Now()))
	}
	for i := from; i < to; i++ {
		f.reaches(newJob(fmt.Sprint(i), "", time.Time{}).Key, job.Published)
	}
}

// read takes fires from the consumer of turns until each id has arrived, acks them, and
// returns how often each arrived.
func (f *fixture) read(ids ...int) map[string]int {
	f.t.Helper()
	seen := map[string]int{}
	waittest.Eventually(f.t, func() string {
		c, err := f.js.Consumer(f.t.Context(), "FIRES", turns)
		if err != nil {
			return fmt.Sprintf("no consumer: %v", err)
		}
		batch, err := c.FetchNoWait(100)
		if err != nil {
			return fmt.Sprintf("no fires: %v", err)
		}
		for m := range batch.Messages() {
			if m.DoubleAck(f.t.Context()) == nil {
				seen[m.Headers().Get("Belfry-Job-Id")]++
			}
		}
		for _, id := range ids {
			if seen[fmt.Sprint(id)] == 0 {
				return fmt.Sprintf("fire %d has not come; %v have", id, seen)
			}
		}
		return ""
	})
	return seen
}

// floorSeen waits until the server's ack floor of turns is recorded.
func (f *fixture) floorSeen() {
	f.t.Helper()
	c, err := f.js.Consumer(f.t.Context(), "FIRES", turns)
	if err != nil {
		f.t.Fatal(err)
	}
	want := c.CachedInfo().AckFloor.Stream
	eventually(f.t, fmt.Sprint("the ack floor ", want, " is kept"), func() bool { return f.KeptFloor(f.t.Context(), turns) == want })
}

func (f *fixture) removeConsumer(name string) {
	f.t.Helper()
	if err := f.js.DeleteConsumer(f.t.Context(), "FIRES", name); err != nil {
		f.t.Fatal(err)
	}
}

var madeAgain = regexp.MustCompile(`made again.* consumer=` + turns + ` .* fires=(\d+)`)

// If an operator removes the consumer of a NATS route, it is recreated behind its last
// known ack floor, even if the route does not change. No fire is skipped, and the log
// says how many are delivered from there.
func TestRemovedConsumerIsMadeAgain(t *testing.T) {
	t.Parallel()
	log := &lines{}
	f := open(t, streams.Config{AuditEvery: soon, Log: log.Logger()})
	f.run()
	f.route("turns", job.NATS)
	f.fireAll(0, 5)
	f.read(0, 1, 2, 3, 4)
	f.floorSeen()
	f.fireAll(5, 8)
	f.removeConsumer(turns)
	seen := f.read(5, 6, 7)
	if len(seen) != 3 {
		t.Errorf("the fires that came are %v, want only those behind the ack floor", seen)
	}
	eventually(t, "the log says 3 fires", func() bool { // once the consumer exists
		m := madeAgain.FindStringSubmatch(log.String())
		return m != nil && m[1] == "3"
	})
	if !strings.Contains(log.String(), "the last ack floor that was seen") {
		t.Error("the log does not say from where")
	}
}

// The same holds while Belfry is away: the floor is stored beside the data.
func TestConsumerRemovedWhileAway(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{AuditEvery: soon})
	stop := f.run()
	f.route("turns", job.NATS)
	f.fireAll(0, 5)
	f.read(0, 1, 2, 3, 4)
	f.floorSeen()
	f.fireAll(5, 7)
	stop()
	f.removeConsumer(turns)
	f.reopen(streams.Config{AuditEvery: soon})
	f.run()
	if seen := f.read(5, 6); len(seen) != 2 {
		t.Errorf("the fires that came are %v, want only those behind the ack floor", seen)
	}
}

// Without a floor the fires come from the start of FIRES, even if the route is changed
// before anybody notices.
func TestConsumerWithoutAFloorBeginsAtTheStart(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{AuditEvery: time.Hour})
	stop := f.run()
	r := f.route("turns", job.NATS)
	f.fireAll(0, 3)
	stop()
	f.removeConsumer(turns)
	f.reopen(streams.Config{AuditEvery: time.Hour})
	r.AckWait = time.Minute
	if err := f.Routes().Replace(t.Context(), r, 0); err != nil {
		t.Fatal(err)
	}
	f.read(0, 1, 2)
}

// A new route begins with its next fire, even if an old route had its id.
func TestConsumerOfANewRouteBeginsAtTheEnd(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{AuditEvery: soon})
	f.run()
	r := f.route("turns", job.NATS)
	f.fireAll(0, 3)
	f.read(0, 1, 2)
	if err := f.Routes().Delete(t.Context(), r.RouteKey, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Inboxes().Remove(t.Context(), r.RouteKey); err != nil {
		t.Fatal(err)
	}
	f.route("turns", job.NATS)
	f.fireAll(3, 4)
	if seen := f.read(3); len(seen) != 1 {
		t.Errorf("the new route got %v", seen)
	}
}

// The inbox of a REST route is mended even if nobody delivers.
func TestRemovedRESTInboxIsMadeAgain(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{AuditEvery: soon})
	f.run()
	f.route("hook", job.REST)
	f.create(newJob("0", "hook", time.Now()))
	f.reaches(newJob("0", "", time.Time{}).Key, job.Firing)
	f.removeConsumer("db_hook")
	eventually(t, "it is there again, with its fire", func() bool {
		c, err := f.js.Consumer(t.Context(), "FIRES", "db_hook")
		return err == nil && c.CachedInfo().NumPending == 1
	})
}

// An operator's edits of a consumer are undone; fires that arrived meanwhile are not
// skipped.
func TestEditedConsumerIsMended(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*jetstream.ConsumerConfig){
		"filter":             func(c *jetstream.ConsumerConfig) { c.FilterSubject = "fires.db.other" },
		"max_deliver":        func(c *jetstream.ConsumerConfig) { c.MaxDeliver = 1 },
		"ack_wait":           func(c *jetstream.ConsumerConfig) { c.AckWait = time.Hour },
		"headers_only":       func(c *jetstream.ConsumerConfig) { c.HeadersOnly = true },
		"backoff":            func(c *jetstream.ConsumerConfig) { c.BackOff = []time.Duration{time.Hour} },
		"max_batch":          func(c *jetstream.ConsumerConfig) { c.MaxRequestBatch = 1 },
		"inactive_threshold": func(c *jetstream.ConsumerConfig) { c.InactiveThreshold = time.Hour },
		"metadata":           func(c *jetstream.ConsumerConfig) { c.Metadata = nil },
		"paused": func(c *jetstream.ConsumerConfig) {
			until := time.Now().Add(time.Hour)
			c.PauseUntil = &until
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &lines{}
			f := open(t, streams.Config{AuditEvery: soon, Log: log.Logger()})
			f.run()
			f.route("turns", job.NATS)
			f.route("other", job.NATS)
			f.floorSeen()
			c, err := f.js.Consumer(t.Context(), "FIRES", turns)
			if err != nil {
				t.Fatal(err)
			}
			right := c.CachedInfo().Config
			edited := right
			change(&edited)
			if edited.PauseUntil != nil {
				_, err = f.js.PauseConsumer(t.Context(), "FIRES", turns, *edited.PauseUntil)
			} else {
				_, err = f.js.UpdateConsumer(t.Context(), "FIRES", edited)
			}
			if err != nil {
				t.Fatal(err)
			}
			f.create(newJob("other", "other", time.Now()))
			f.fireAll(0, 3)
			f.read(0, 1, 2)
			eventually(t, "the consumer is as it was", func() bool {
				c, err := f.js.Consumer(t.Context(), "FIRES", turns)
				return err == nil && !c.CachedInfo().Paused && len(routes.InboxDifferences(c.CachedInfo().Config, right)) == 0
			})
			eventually(t, "the log says so", func() bool { return strings.Contains(log.String(), "level=WARN msg=\"the consumer of a route") })
		})
	}
}

// A consumer that an operator recreated under the name of a route's consumer is replaced
// by one that has skipped nothing.
func TestReplacedConsumerIsMadeAgain(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]jetstream.ConsumerConfig{
		"from new":  {Durable: turns, FilterSubject: "fires.db.turns", DeliverPolicy: jetstream.DeliverNewPolicy, AckPolicy: jetstream.AckExplicitPolicy},
		"ack none":  {Durable: turns, FilterSubject: "fires.db.turns", AckPolicy: jetstream.AckNonePolicy},
		"no filter": {Durable: turns, AckPolicy: jetstream.AckExplicitPolicy},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t, streams.Config{AuditEvery: 2 * time.Second})
			f.run()
			f.route("turns", job.NATS)
			f.floorSeen()
			f.fireAll(0, 3)
			f.removeConsumer(turns)
			if _, err := f.js.CreateConsumer(t.Context(), "FIRES", cfg); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it is Belfry's again", func() bool {
				c, err := f.js.Consumer(t.Context(), "FIRES", turns)
				return err == nil && c.CachedInfo().Config.Metadata["belfry.route"] == "turns"
			})
			f.read(0, 1, 2)
		})
	}
}

// The consumer that reads advisories continues where it was.
func TestRemovedBuryConsumerIsMadeAgain(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{AuditEvery: soon})
	f.run()
	eventually(t, "it is there", func() bool {
		_, err := f.js.Consumer(t.Context(), "ADVISORIES", "bury")
		return err == nil
	})
	if _, err := f.js.PauseConsumer(t.Context(), "ADVISORIES", "bury", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it goes on", func() bool {
		c, err := f.js.Consumer(t.Context(), "ADVISORIES", "bury")
		return err == nil && !c.CachedInfo().Paused
	})
	if err := f.js.DeleteConsumer(t.Context(), "ADVISORIES", "bury"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is there again", func() bool {
		_, err := f.js.Consumer(t.Context(), "ADVISORIES", "bury")
		return err == nil
	})
}

// A removal is noticed well before the next full comparison.
func TestRemovedConsumerIsMissedSoon(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{AuditEvery: time.Hour})
	f.run()
	f.route("turns", job.NATS)
	f.fireAll(0, 2)
	eventually(t, "FIRES was looked at", func() bool { return f.SawFires(t.Context()) })
	f.removeConsumer(turns)
	f.read(0, 1)
}
