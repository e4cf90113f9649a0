package streams_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/waittest"
	"belfry/streams"
)

// died waits for n dead letters of a route and returns why each job died.
func (f *fixture) died(route string, n int) map[string]job.Reason {
	f.t.Helper()
	dead, err := f.js.Stream(f.t.Context(), "DEAD")
	if err != nil {
		f.t.Fatal(err)
	}
	subject := "dead.db." + route
	eventually(f.t, fmt.Sprintf("%d dead letters of route %s", n, route), func() bool {
		info, err := dead.Info(f.t.Context(), jetstream.WithSubjectFilter(subject))
		return err == nil && info.State.Subjects[subject] >= uint64(n)
	})
	why := map[string]job.Reason{}
	all, _ := f.walk(job.LetterQuery{DB: "db", Route: route})
	for _, l := range all {
		why[l.Fire.Key.ID] = l.Reason
	}
	return why
}

// subscriber takes a route's next fire.
func (f *fixture) subscriber(route string) (next func() jetstream.Msg) {
	f.t.Helper()
	c, err := f.js.Consumer(f.t.Context(), "FIRES", "db_"+route)
	if err != nil {
		f.t.Fatal(err)
	}
	return func() jetstream.Msg {
		f.t.Helper()
		m, err := c.Next(jetstream.FetchMaxWait(waittest.Patience))
		if err != nil {
			f.t.Fatalf("no delivery of route %s: %v", route, err)
		}
		return m
	}
}

// ageing is the maximum age of FIRES in tests whose fires grow too old. Fires are moved
// at three quarters of it, so a busy machine has 4 s for that.
const ageing = 16 * time.Second

// A subscriber that leaves with its last delivery unacked leaves a letter, even if nobody
// asks for more.
func TestSubscriberLeavesWithLastDelivery(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{NativeAckWait: 100 * time.Millisecond, NativeMaxDeliver: 2, FiresMaxAge: 40 * time.Second})
	f.route("r", job.NATS)
	f.run()
	f.create(newJob("left", "r", time.Now()))
	next := f.subscriber("r")
	next()
	next()
	f.create(newJob("fresh", "r", time.Now()))
	// This is long before the fire's age would bring it there.
	if diff := cmp.Diff(map[string]job.Reason{"left": job.ReasonUnacked}, f.died("r", 1)); diff != "" {
		t.Errorf("died of (-want +got):\n%s", diff)
	}
	m := next()
	meta, err := m.Metadata()
	if id := m.Headers().Get("Belfry-Job-Id"); err != nil || id != "fresh" || meta.NumDelivered != 1 {
		t.Errorf("the subscriber that came back got %s, delivery %d, %v; want the fresh one for the first time", id, meta.NumDelivered, err)
	}
}

// One subscriber naks its last delivery and leaves, and another leaves while it has
// deliveries left. Their fires are in DEAD before FIRES drops them.
func TestSubscriberLeavesEarly(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{NativeAckWait: 100 * time.Millisecond, NativeMaxDeliver: 2, FiresMaxAge: ageing})
	f.route("naked", job.NATS)
	f.route("held", job.NATS)
	f.run()
	f.create(newJob("a", "naked", time.Now()))
	f.create(newJob("b", "held", time.Now()))
	next := f.subscriber("naked")
	for range 2 {
		if err := next().Nak(); err != nil {
			t.Fatal(err)
		}
	}
	f.subscriber("held")()
	if diff := cmp.Diff(map[string]job.Reason{"a": job.ReasonUnacked}, f.died("naked", 1)); diff != "" {
		t.Errorf("refused for now, died of (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]job.Reason{"b": job.ReasonUnread}, f.died("held", 1)); diff != "" {
		t.Errorf("held, died of (-want +got):\n%s", diff)
	}
}

// Fires that no subscriber fetched go to DEAD before FIRES drops them. Fresh fires are
// left alone, with all their deliveries.
func TestUnreadFires(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{FiresMaxAge: ageing})
	f.route("r", job.NATS)
	f.route("read", job.NATS)
	f.run()
	want := map[string]job.Reason{}
	for i := range 5 {
		id := fmt.Sprint(i)
		want[id] = job.ReasonUnread
		f.create(newJob(id, "r", time.Now()))
		f.create(newJob("read-"+id, "read", time.Now()))
		f.reaches(newJob(id, "r", time.Now()).Key, job.Published)
	}
	f.create(newJob("fresh", "r", time.Now().Add(ageing/2)))
	read := f.subscriber("read")
	for range 5 {
		if err := read().DoubleAck(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, f.died("r", 5)); diff != "" {
		t.Errorf("died of (-want +got):\n%s", diff)
	}
	m := f.subscriber("r")()
	meta, err := m.Metadata()
	if id := m.Headers().Get("Belfry-Job-Id"); err != nil || id != "fresh" || meta.NumDelivered != 1 {
		t.Errorf("the subscriber that came back got %s, delivery %d, %v; want the fresh one for the first time", id, meta.NumDelivered, err)
	}
	if got := f.messages("DEAD", "dead.db.read"); len(got) != 0 {
		t.Errorf("%d letters of fires that were acked", len(got))
	}
	letter, _ := f.walk(job.LetterQuery{DB: "db", Limit: 1})
	if !strings.HasPrefix(letter[0].Detail, "not acked by a subscriber within ") {
		t.Errorf("the detail is %q", letter[0].Detail)
	}
	// They can be redriven to a subscriber that is there now.
	run, err := f.Letters().RedriveEach(t.Context(), job.LetterQuery{DB: "db", Reason: job.ReasonUnread})
	if err != nil || run.Done != 5 {
		t.Errorf("redrive: %+v, %v; want 5 done", run, err)
	}
}

// An inbox that somebody turned into a push consumer does not keep the other inboxes from
// being looked after.
func TestUnreadBehindSpoiltInbox(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{FiresMaxAge: ageing})
	f.route("r", job.NATS)
	stream, err := f.js.Stream(t.Context(), "FIRES")
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.CreateOrUpdatePushConsumer(t.Context(), jetstream.ConsumerConfig{
		Durable: "a_spoilt", FilterSubject: "fires.a.spoilt", AckPolicy: jetstream.AckExplicitPolicy,
		DeliverSubject: "nobody", Metadata: map[string]string{"belfry.type": string(job.NATS)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.js.Publish(t.Context(), "fires.a.spoilt", nil); err != nil {
		t.Fatal(err)
	}
	f.run()
	f.create(newJob("unread", "r", time.Now()))
	if diff := cmp.Diff(map[string]job.Reason{"unread": job.ReasonUnread}, f.died("r", 1)); diff != "" {
		t.Errorf("died of (-want +got):\n%s", diff)
	}
}
