package api_test

import (
	"context"
	"testing"
	"time"

	"belfry/internal/job"
)

type attempts struct{ *store }

func (s attempts) Of(ctx context.Context, key job.Key) (all []job.Attempt, err error) {
	err = s.with(ctx, func() error { all = s.attempts[key]; return nil })
	return all, err
}

func TestAttempts(t *testing.T) {
	t.Parallel()
	s := newStore()
	srv := server(t, config(s))
	expect(t, srv, "POST", "/route/db", `{"id":"r","type":"NATS"}`, 200, ok)
	expect(t, srv, "POST", "/job/db/coll", `{"id":"one","trigger_time":1667659342626,"route":"r"}`, 200, ok)
	expect(t, srv, "GET", "/job/db/coll/one/attempts", "", 200, `{"attempts":[]}`)
	const want = `{"attempts":[{"attempt":1,"webhook_id":"fire","started_time":5,"duration_ms":1.5,"lateness_ms":0.25,"status":503,"error":"status 503","response":"busy"}]}`
	// The tries of a job that is no longer kept are shown as well.
	s.attempts = map[job.Key][]job.Attempt{}
	for _, id := range []string{"one", "gone"} {
		s.attempts[job.Key{DB: "db", Collection: "coll", ID: id}] = []job.Attempt{{
			Number: 1, FireID: "fire", Started: time.UnixMilli(5), Duration: 1500 * time.Microsecond, Lateness: 250 * time.Microsecond,
			Status: 503, Error: "status 503", Response: []byte("busy"),
		}}
		expect(t, srv, "GET", "/job/db/coll/"+id+"/attempts", "", 200, want)
	}
}
