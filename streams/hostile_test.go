package streams_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/internal/job"
	"belfry/internal/logtest"
	"belfry/internal/natstest"
	"belfry/streams"
	"belfry/streams/journal"
	"belfry/streams/routes"
	"belfry/streams/wire"
)

// hostileHeaders returns headers that no server and no Belfry writes.
func hostileHeaders() []nats.Header {
	all := []nats.Header{
		nil,
		{"Status": {"503"}}, {"Status": {"404"}}, {"Status": {"408"}}, {"Status": {"100"}}, {"Status": {"409"}, "Description": {"Consumer Deleted"}},
		{"Status": {"-1"}}, {"Status": {"x"}}, {"Status": {""}}, {"Status": {"200", "503"}},
		{"KV-Operation": {"DEL"}}, {"KV-Operation": {"PURGE"}}, {"KV-Operation": {"?"}}, {"Nats-Marker-Reason": {"MaxAge"}},
		{"Nats-Pending-Messages": {"-5"}, "Nats-Pending-Bytes": {"x"}},
	}
	numbers := []string{
		"Belfry-Due", "Belfry-Epoch", "Belfry-Fires-After", "Belfry-Finished", "Belfry-Claim", "Belfry-Redriven", "Belfry-Fired", "Belfry-Died",
		"Belfry-Attempt", "Belfry-Trigger-Time", "Belfry-Replaces", "Belfry-Restore",
		"Nats-Sequence", "Nats-Last-Sequence", "Nats-Num-Pending", "Nats-Time-Stamp", "Nats-Subject", "Nats-Stream",
	}
	for _, value := range []string{"", "-1", "0", "9223372036854775807", "9223372036854775808", "18446744073709551616", "1e9", "x", ":", "-1:-1", "9:", strings.Repeat("9", 9000)} {
		h := nats.Header{"Belfry-Status": {"firing"}, "Belfry-Fire-Id": {"f"}, "Belfry-Route": {"=zz"}}
		for _, name := range numbers {
			h[name] = []string{value}
		}
		all = append(all, h)
	}
	return all
}

// hostileBodies returns unexpected bodies of all kinds.
func hostileBodies() [][]byte {
	return [][]byte{nil, []byte("{}"), []byte("null"), []byte("[]"), []byte("-1"), []byte(`{"seq":-1}`), []byte(`{"message":{"seq":1,"hdrs":"AA=="}}`),
		[]byte(`{"id":"i","trigger_time":1893456000000,"route":"r"}`), []byte("\xff\x00"), []byte(strings.Repeat("[", 100_000))}
}

// wiretap records the subjects on which the store gets its answers.
type wiretap struct {
	mu     sync.Mutex
	places map[string]bool
}

func tap(t *testing.T, nc *nats.Conn) *wiretap {
	t.Helper()
	w := &wiretap{places: map[string]bool{}}
	for _, subject := range []string{"$JS.API.>", "$KV.>", "fires.>", "fence.*", "attempts.>", "dead.>"} {
		if _, err := nc.Subscribe(subject, func(m *nats.Msg) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if strings.HasPrefix(m.Reply, "_INBOX") {
				w.places[m.Reply] = true
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *wiretap) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.places))
}

// works checks that a job fires through the whole store.
func (f *fixture) works(id string) {
	f.t.Helper()
	f.create(newJob(id, "native", time.Now()))
	f.reaches(job.Key{DB: "db", Collection: "coll", ID: id}, job.Published)
}

// No message that arrives in the store's own inboxes ends the process or stops its work.
// Anybody may send such a message. JetStream may also be made to deliver a fire there,
// under the subject that it was stored on.
func TestHostileMessagesInOwnInboxes(t *testing.T) {
	t.Parallel()
	var log logtest.Log
	f := open(t, streams.Config{Log: log.Logger(), Partitions: 2})
	enemy := f.server.Connect()
	heard := tap(t, enemy)
	f.run()
	native := f.route("native", job.NATS)
	rest := f.route("rest", job.REST)
	f.works("first")
	if err := f.Inboxes().Fetch(t.Context(), rest.RouteKey, 1, 10*time.Millisecond, func(job.Handover) {}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Letters().List(t.Context(), job.LetterQuery{DB: "db"}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Attempts().Of(t.Context(), newJob("first", "", time.Now()).Key); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Jobs().List(t.Context(), job.Query{DB: "db"}); err != nil {
		t.Fatal(err)
	}
	places := heard.all()
	if len(places) < 10 {
		t.Fatalf("the store gets its answers on %q, want more", places)
	}
	// It also tries the next numbers, and subjects that are cut off or longer.
	for _, place := range slices.Clone(places) {
		cut := strings.LastIndexByte(place, '.') + 1
		for _, end := range []string{"", "0", "-1", "zzzzzzzzzzzzzzzzzzz", "+1", "1.1", "é", "x"} {
			if subject := place[:cut] + end; !strings.HasSuffix(subject, ".") {
				places = append(places, subject)
			}
		}
	}
	slices.Sort(places)
	places = slices.Compact(places)
	consumer, err := f.Routes().Get(t.Context(), native.RouteKey)
	if err != nil {
		t.Fatal(err)
	}
	next := "$JS.API.CONSUMER.MSG.NEXT.FIRES." + consumer.Subscription.Consumer
	for i, place := range places {
		if i%(1+len(places)/8) == 0 {
			f.works(fmt.Sprint("fire-", i)) // for the next pull
		}
		for _, pull := range []string{`{"batch":1,"no_wait":true}`, ``, `{"batch":1,"expires":1}`} {
			if err := enemy.PublishRequest(next, place, []byte(pull)); err != nil {
				t.Fatal(err)
			}
		}
		for j, h := range hostileHeaders() {
			if err := enemy.PublishMsg(&nats.Msg{Subject: place, Reply: "ack.x.-1.9.9.9.9.9", Header: h, Data: hostileBodies()[(i+j)%len(hostileBodies())]}); err != nil {
				t.Fatal(err)
			}
		}
		for _, body := range hostileBodies() {
			if err := enemy.PublishRequest(place, place, body); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := enemy.Flush(); err != nil {
		t.Fatal(err)
	}
	f.works("last")
	if text := log.String(); strings.Contains(text, "panic") {
		t.Errorf("something panicked:\n%.4000s", text)
	}
}

// Messages that anybody with the rights puts into the streams and buckets stop nothing.
func TestHostileMessagesInStreams(t *testing.T) {
	t.Parallel()
	var log logtest.Log
	f := open(t, streams.Config{Log: log.Logger(), Partitions: 2})
	f.route("native", job.NATS)
	rest := f.route("rest", job.REST)
	f.hostile()
	f.run() // reads everything
	f.followTokens()
	f.works("first")
	f.hostile()
	f.works("last")
	ctx, k := t.Context(), newJob("last", "", time.Now()).Key
	if err := f.Inboxes().Fetch(ctx, rest.RouteKey, 100, 200*time.Millisecond, func(job.Handover) {}); err != nil {
		t.Error(err)
	}
	if _, err := f.Jobs().List(ctx, job.Query{DB: "db"}); err != nil {
		t.Error(err)
	}
	for _, reason := range []error{
		func() error { _, err := f.Letters().List(ctx, job.LetterQuery{DB: "db"}); return err }(),
		func() error { _, err := f.Tokens().List(); return err }(),
		func() error { _, err := f.Routes().Get(ctx, rest.RouteKey); return err }(),
	} {
		if reason != nil {
			t.Error(reason)
		}
	}
	// The server's own headers may spoil an answer.
	if _, err := f.Attempts().Of(ctx, k); err != nil && !errors.Is(err, job.ErrUnavailable) {
		t.Error(err)
	}
	if text := log.String(); strings.Contains(text, "panic") {
		t.Errorf("something panicked:\n%.4000s", text)
	}
}

// hostile puts messages of all kinds into Belfry's streams and buckets.
func (f *fixture) hostile() {
	f.t.Helper()
	subjects := []string{
		"fires.db.rest", "fires.db.native", "fires.x", "fires.=zz.=", "dead.db.rest", "dead.x", "attempts.db.coll.last", "attempts.x",
		"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.FIRES.db_native", "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.FIRES.x",
		"$KV.tokens.x", "$KV.tokens.a.b", "$KV.routes.db.other", "$KV.routes.x", "$KV.routes.=zz.=", "$KV.routes.a.b.c",
		"$KV.gates.breaker.db.rest", "$KV.gates.breaker.x", "$KV.gates.breaker.", "$KV.gates.rate.db.rest", "$KV.gates.x",
		"$KV.belfry.lease.-1", "$KV.belfry.lease.2", "$KV.belfry.lease.99", "$KV.belfry.lease.+1", "$KV.belfry.lease.01", "$KV.belfry.lease.x",
		"$KV.belfry.lease.9223372036854775808", "$KV.belfry.node.x.y", "$KV.belfry.x", "$KV.belfry.x.y.z",
	}
	for p := range 2 {
		subjects = append(subjects, fmt.Sprintf("$KV.jobs_%d.x", p), fmt.Sprintf("$KV.jobs_%d.db.coll.hostile", p), fmt.Sprintf("$KV.jobs_%d.=.=zz.c", p))
	}
	for _, subject := range subjects {
		if strings.HasSuffix(subject, ".") {
			continue // not a valid subject
		}
		for i, h := range hostileHeaders() {
			m := &nats.Msg{Subject: subject, Header: nats.Header{}, Data: hostileBodies()[i%(len(hostileBodies())-1)]}
			maps.Copy(m.Header, h)
			delete(m.Header, "Status") // nats.go takes it for a status of the server
			if err := f.nc.PublishMsg(m); err != nil {
				f.t.Fatal(err)
			}
		}
		// Deleted last, since a watch reports the last message at its start.
		if err := f.nc.PublishMsg(&nats.Msg{Subject: subject, Header: nats.Header{"KV-Operation": {"PURGE"}}}); err != nil {
			f.t.Fatal(err)
		}
	}
	if err := f.nc.Flush(); err != nil {
		f.t.Fatal(err)
	}
}

// A key is a lease only if its partition exists and it has the one valid form.
func TestLeaseKeys(t *testing.T) {
	for key, want := range map[string]int{"lease.0": 0, "lease.1": 1} {
		if got, ok := wire.ParseLeaseKey(key, 2); !ok || got != want {
			t.Errorf("%s is the lease of %d, %v; want %d", key, got, ok, want)
		}
	}
	for _, key := range []string{"", "0", "lease", "lease.", "lease.-1", "lease.-0", "lease.+1", "lease.01", "lease.2", "lease.x", "lease.1.1", "node.1",
		fmt.Sprint("lease.", math.MinInt64), fmt.Sprint("lease.", uint64(math.MaxUint64))} {
		if got, ok := wire.ParseLeaseKey(key, 2); ok {
			t.Errorf("%s is the lease of %d, want that it is none", key, got)
		}
	}
}

// Whatever the name of a bucket's key, it is parsed as one thing at most, and that thing
// has this key.
func FuzzKeys(f *testing.F) {
	for _, key := range []string{"lease.0", "lease.-1", "breaker.db.route", "db.route", "db.coll.id", "=41.b", "", "."} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if p, ok := wire.ParseLeaseKey(key, 50); ok && (p < 0 || p >= 50) {
			t.Errorf("%q is the lease of %d", key, p)
		}
		if k, err := wire.ParseJobKey(key); err == nil && k.Check() != nil {
			t.Errorf("%q is the job %v", key, k)
		}
		if k, err := wire.ParseRouteToken(key); err == nil && k.Check() != nil {
			t.Errorf("%q is the route %v", key, k)
		}
	})
}

// The answers to direct reads and to pulls are headers alone. Each message is parsed as
// every kind of JetStream answer.
func FuzzAnswers(f *testing.F) {
	for _, h := range hostileHeaders() {
		f.Add(natstest.FormatHeader(h), []byte("{}"))
	}
	f.Fuzz(func(t *testing.T, headers string, data []byte) {
		m := &nats.Msg{Subject: "_INBOX.x", Header: natstest.ParseHeader(headers), Data: data}
		if s, found, err := journal.ReplicaAnswer(m); err == nil && found {
			_, _, _ = wire.DecodeHeaders(job.Key{}, s.Seq, s.Header)
			_, _ = wire.ParseRestoreTag(s.Header)
			_ = wire.IsMarker(s.Header)
		}
		_, _ = journal.PullStatus(m)
		_, _ = routes.Handover(m)
		_, _ = journal.ReadAck(m.Data)
		_, _ = journal.LeaderAnswer("S", m.Data)
	})
}

// A letter may be put into DEAD by hand.
func FuzzDecodeDead(f *testing.F) {
	for _, h := range hostileHeaders() {
		f.Add(natstest.FormatHeader(h), []byte("{}"))
	}
	f.Fuzz(func(t *testing.T, headers string, data []byte) {
		if l, err := wire.DecodeDead(natstest.ParseHeader(headers), data, 1, time.Time{}); err == nil && l.Key.Check() != nil {
			t.Errorf("%q is read as %+v", headers, l)
		}
	})
}

// A record with a header that looks like a status of the server is still read as a
// record.
func TestStoredStatusIsNoAnswer(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.route("native", job.NATS)
	for _, status := range []string{"503", "404", "409", "x"} {
		j := newJob("with-"+status, "native", time.Now().Add(time.Hour))
		value := fmt.Sprintf(`{"id":%q,"trigger_time":%d,"meta":1,"route":"native"}`, j.ID, j.Trigger)
		m := &nats.Msg{Subject: "$KV.jobs_0." + wire.JobKey(j.Key), Header: nats.Header{"Status": {status}}, Data: []byte(value)}
		if _, err := f.js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if got := f.get(j.Key); got.Status != job.Scheduled || got.Trigger != j.Trigger {
			t.Errorf("the record with Status %s is read as %+v", status, got)
		}
		page, err := f.Jobs().List(t.Context(), job.Query{DB: "db"})
		if err != nil || !slices.ContainsFunc(page.Jobs, func(r job.Record) bool { return r.ID == j.ID }) {
			t.Errorf("the list with a Status %s: %v, %v", status, page, err)
		}
	}
}

// The timer gets past such a record, at a start and at work.
func TestTimerGetsPastStoredStatuses(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.route("native", job.NATS)
	put := func(when string) {
		for _, status := range []string{"100", "404", "408", "409", "503", "x"} {
			m := &nats.Msg{Subject: "$KV.jobs_0.db.coll." + when + status, Header: nats.Header{"Status": {status}, "Description": {"Consumer Deleted"}}}
			if _, err := f.js.PublishMsg(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
	}
	put("before")
	f.run()
	f.works("first")
	put("meanwhile")
	f.works("last")
}
