package streams_test

import (
	"errors"
	"strings"
	"testing"

	"belfry/internal/job"
	"belfry/internal/logtest"
	"belfry/streams"
	"belfry/streams/wire"
)

// On a disk that does not distinguish upper and lower case each folder has one inbox, on
// every node. On another disk names may differ only in case.
func TestNamesThatDifferInCase(t *testing.T) {
	t.Parallel()
	log := &logtest.Log{}
	cfg := streams.Config{OnlyNode: true, DiskIgnoresCase: true, Log: log.Logger()}
	f := open(t, cfg)
	create := func(s *streams.Store, db, id string, typ job.RouteType) error {
		r := job.Route{RouteKey: job.RouteKey{DB: db, ID: id}, Type: typ}
		if typ == job.REST {
			r.WebhookURL = "http://127.0.0.1:1/"
		}
		return s.Routes().Create(t.Context(), r)
	}
	long := strings.Repeat("x", 150)
	accepted := []job.RouteKey{
		{DB: "games", ID: "Tn"}, {DB: "games", ID: "Tn2"}, {DB: "a_", ID: "b"}, {DB: "a", ID: "_b"}, {DB: "é", ID: "r"}, {DB: "É", ID: "r"},
		{DB: long, ID: long + "a"}, {DB: long, ID: long + "A"}, // their folders end in a hash
	}
	for _, k := range accepted {
		if err := create(f.Store, k.DB, k.ID, job.NATS); err != nil {
			t.Errorf("%v: %v", k, err)
		}
	}
	other, err := streams.Open(t.Context(), f.server.Connect(), streams.Config{})
	if err != nil {
		t.Fatal(err)
	}
	refused := []job.RouteKey{{DB: "games", ID: "tn"}, {DB: "Games", ID: "Tn"}, {DB: "GAMES", ID: "TN"}, {DB: "A_", ID: "B"}, {DB: "games", ID: "tN2"}}
	for _, k := range refused {
		for name, s := range map[string]*streams.Store{"this node": f.Store, "another": other} {
			for _, typ := range []job.RouteType{job.NATS, job.REST} {
				err := create(s, k.DB, k.ID, typ)
				if !errors.Is(err, job.ErrCaseOnly) || !strings.Contains(err.Error(), "would share the folder of the consumer ") {
					t.Errorf("%v as %s on %s: %v, want that its folder is taken", k, typ, name, err)
				}
			}
		}
	}
	// Creating the same route again is no conflict.
	if err := create(f.Store, "games", "Tn", job.NATS); err != nil {
		t.Error(err)
	}

	// The data moves to a better disk, and back.
	cfg.DiskIgnoresCase = false
	f.reopen(cfg)
	if err := create(f.Store, "games", "tn", job.NATS); err != nil {
		t.Errorf("on a usual disk: %v", err)
	}
	if strings.Contains(log.String(), "two routes differ in case only") {
		t.Errorf("told of a usual disk:\n%s", log)
	}
	cfg.DiskIgnoresCase = true
	f.reopen(cfg)
	if got := strings.Count(log.String(), `level=ERROR msg="two routes differ in case only, and this disk does not tell: one of them has no inbox"`); got != 1 {
		t.Errorf("the pair was told %d times, want once:\n%s", got, log)
	}
	// The collision can be resolved: deleting the route without an inbox does not harm
	// the other.
	if err := f.js.DeleteConsumer(t.Context(), "FIRES", wire.InboxConsumer(job.RouteKey{DB: "games", ID: "tn"})); err != nil {
		t.Fatal(err)
	}
	if err := f.Routes().Delete(t.Context(), job.RouteKey{DB: "games", ID: "tn"}, 0); err != nil {
		t.Error(err)
	}
	if _, err := f.js.Consumer(t.Context(), "FIRES", "games_Tn"); err != nil {
		t.Errorf("the inbox of the other: %v", err)
	}
}
