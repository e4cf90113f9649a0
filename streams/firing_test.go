package streams_test

import (
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/streams"
)

func TestNATSRouteFires(t *testing.T) {
	f := open(t, streams.Config{})
	f.route("r", job.NATS)
	f.run()
	due := time.Now().Add(300 * time.Millisecond)
	j := newJob("a", "r", due)
	f.create(j)

	c, err := f.js.Consumer(t.Context(), "FIRES", "db_r")
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Next()
	if err != nil {
		t.Fatal(err)
	}
	if now := time.Now(); now.Before(due.Truncate(time.Millisecond)) {
		t.Errorf("fired at %v, before its time %v", now, due)
	} else {
		t.Logf("late by %v", now.Sub(due))
	}
	if got, want := string(m.Data()), string(j.Meta); got != want {
		t.Errorf("the fire carries %q, want the meta %q", got, want)
	}
	r := f.reaches(j.Key, job.Published)
	if r.Attempt != 1 || m.Headers().Get("webhook-id") != r.FireID {
		t.Errorf("attempt %d and fire id %q; want 1 and %q", r.Attempt, m.Headers().Get("webhook-id"), r.FireID)
	}
}
