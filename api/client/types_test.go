package client_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"belfry/api/client"
	"belfry/internal/contract"
	"belfry/internal/job"
)

// The meta of a job reaches the server byte for byte.
func TestEncodeKeepsTheMeta(t *testing.T) {
	t.Parallel()
	const meta = "{ \"a\" : \"<b> & c\",\n\t\"n\": 1.0e3 }"
	want := job.Job{Key: job.Key{DB: "db", Collection: "c", ID: "a \"b\" <c>"}, Trigger: 1667659342626, Route: "r", Meta: []byte(meta)}
	for name, tt := range map[string]struct {
		body any
		key  job.Key
	}{
		"a new job":    {client.NewJob{ID: want.ID, TriggerTime: want.Trigger, Route: want.Route, Meta: json.RawMessage(meta)}, job.Key{DB: "db", Collection: "c"}},
		"a change":     {client.JobChange{TriggerTime: want.Trigger, Route: want.Route, Meta: json.RawMessage(meta)}, want.Key},
		"by a pointer": {&client.NewJob{ID: want.ID, TriggerTime: want.Trigger, Route: want.Route, Meta: json.RawMessage(meta)}, job.Key{DB: "db", Collection: "c"}},
	} {
		body, err := client.Encode(tt.body)
		if err != nil {
			t.Fatal(err)
		}
		got, err := contract.ParseJob(body, tt.key, 1000)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: the server reads %s as %v, (-want +got)\n%s", name, body, err, diff)
		}
	}
	one := client.NewJob{ID: want.ID, TriggerTime: want.Trigger, Route: want.Route, Meta: json.RawMessage(meta)}
	all, err := client.Encode([]client.NewJob{one, one})
	if err != nil {
		t.Fatal(err)
	}
	bulk := contract.NewBulk(bytes.NewReader(all), 1000)
	for range 2 {
		object, _, _, err := bulk.Next()
		if err != nil {
			t.Fatalf("the server reads %s as %v", all, err)
		}
		got, err := contract.ParseJob(object, job.Key{DB: "db", Collection: "c"}, 1000)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("a bulk: the server reads %s as %v, (-want +got)\n%s", object, err, diff)
		}
	}
	if _, _, _, err := bulk.Next(); err != io.EOF {
		t.Errorf("after the last of a bulk the server reads %v", err)
	}
	for _, bad := range []string{`{`, `1,"route":"other"`, `1}{`} {
		if body, err := client.Encode(client.NewJob{ID: "x", Meta: json.RawMessage(bad)}); err == nil {
			t.Errorf("the meta %q is sent as %s, want an error", bad, body)
		}
	}
	if body, err := client.Encode(client.NewJob{ID: "x"}); string(body) != `{"id":"x","trigger_time":0,"route":""}` || err != nil {
		t.Errorf("without meta the body is %s, %v", body, err)
	}
}

// A route that is read can be sent back, and is the same then.
func TestRouteIsReadAndSent(t *testing.T) {
	t.Parallel()
	key := job.RouteKey{DB: "db", ID: "r"}
	for _, text := range []string{
		`{"type":"REST","webhook_url":"https://example.com/","retry":{"max_attempts":3,"jitter":0,"max_age_ms":60000},"timeout_ms":1000,"method":"PUT",
			"content_type":"text/plain","headers":{"X-Key":"********"},"final_statuses":[410,"4xx"],"concurrency":3,
			"rate_limit":{"per_second":0.5,"burst":2},"max_lateness_ms":1000,"paused_until":1667659342626}`,
		`{"type":"REST","webhook_url":"https://example.com/","retry":{"schedule_ms":[1,20]},"final_statuses":[],"paused":true}`,
		`{"type":"NATS","ack_wait_ms":1000,"max_deliver":3,"rate_limit":{"per_second":2}}`,
		`{"type":"NATS","max_deliver":3,"backoff_ms":[1000,2000]}`,
	} {
		want, err := contract.ParseRoute([]byte(text), key)
		if err != nil {
			t.Fatal(err)
		}
		answer := contract.AppendRouteAnswer(nil, want)
		var read client.Route
		if err := json.Unmarshal(answer, &read); err != nil {
			t.Fatal(err)
		}
		body, err := client.Encode(client.RouteChange{RouteSettings: read.RouteSettings})
		if err != nil {
			t.Fatal(err)
		}
		got, err := contract.ParseRoute(body, key)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("the server reads %s as %v, (-want +got)\n%s", body, err, diff)
		}
	}
}

// A secret is sent, kept and removed.
func TestSecretOfAChange(t *testing.T) {
	t.Parallel()
	const text = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	for secret, want := range map[*client.Secret]string{
		nil:                             "kept",
		new(client.Secret("")):          "removed",
		new(client.Secret(text)):        text,
		new(client.Secret("<&\u2028>")): "refused",
	} {
		body, err := client.Encode(client.RouteChange{RouteSettings: client.RouteSettings{Type: client.REST, WebhookURL: "h", Secret: secret}})
		if err != nil {
			t.Fatal(err)
		}
		r, err := contract.ParseRoute(body, job.RouteKey{DB: "db", ID: "r"})
		got := r.Secret
		switch {
		case errors.Is(err, job.ErrPolicy):
			got = "refused"
		case err != nil:
			t.Fatal(err)
		case r.KeepSecret:
			got = "kept"
		case got == "":
			got = "removed"
		}
		if got != want {
			t.Errorf("the secret of %s is %s, want %s", body, got, want)
		}
	}
}

// A query has the fields that are given, and zero where that is given.
func TestValues(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"": client.JobQuery{}.Values().Encode(),
		"cursor=a+b&due_after=0&due_before=1667659342626&limit=5&prefix=%26&route=r&status=dead": client.JobQuery{
			Status: client.StatusDead, Route: "r", DueAfter: new(int64), DueBefore: new(int64(1667659342626)), Prefix: "&", Limit: 5, Cursor: "a b"}.Values().Encode(),
		"after=-1&reason=expired": client.LetterQuery{Reason: "expired", After: new(int64(-1))}.Values().Encode(),
		"limit=1000":              client.PageQuery{Limit: 1000}.Values().Encode(),
	} {
		if got != want {
			t.Errorf("the query is %q, want %q", got, want)
		}
	}
}
