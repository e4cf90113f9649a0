package contract_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"belfry/internal/contract"
	"belfry/internal/job"
)

func TestParseRoute(t *testing.T) {
	t.Parallel()
	rest := func(url string) job.Route {
		return job.Route{RouteKey: job.RouteKey{DB: "db", ID: "r"}, Type: job.REST, WebhookURL: url}
	}
	for _, tt := range []struct {
		body string
		id   string
		want job.Route
	}{
		{`{"id":"r","type":"REST","webhook_url":"gameserver-dev-1.myorg.com/timer?action=endgame"}`, "",
			rest("gameserver-dev-1.myorg.com/timer?action=endgame")},
		{`{"id":"r","type":"REST","webhook_url":"http://127.0.0.1:1/a?b=<c>&d"}`, "r", rest("http://127.0.0.1:1/a?b=<c>&d")},
		{`{"type":"REST","webhook_url":"https:\/\/h"}`, "r", rest("https://h")},
		{`{"type":"NATS"}`, "r", job.Route{RouteKey: job.RouteKey{DB: "db", ID: "r"}, Type: job.NATS}},
		{`{"type":"NATS","webhook_url":""}`, "r", job.Route{RouteKey: job.RouteKey{DB: "db", ID: "r"}, Type: job.NATS}},
	} {
		got, err := contract.ParseRoute([]byte(tt.body), job.RouteKey{DB: "db", ID: tt.id})
		if err != nil {
			t.Errorf("ParseRoute(%s): %v", tt.body, err)
		} else if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(job.Route{}, "KeepSecret")); diff != "" {
			t.Errorf("ParseRoute(%s) (-want +got):\n%s", tt.body, diff)
		}
	}
}

func TestParseRouteRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		body string
		want error
		says string
	}{
		{``, job.ErrEmptyBody, "object"},
		{`[]`, job.ErrFieldType, "the body is an array"},
		{`{"id":"r","type":"NATS"}{}`, job.ErrSyntax, "follows"},
		{`{"type":"NATS"}`, job.ErrMissingField, ": id; needed are id, type"},
		{`{"id":"r"}`, job.ErrMissingField, ": type;"},
		{`{"id":"r","type":"REST"}`, job.ErrMissingField, ": webhook_url;"},
		{`{"id":"r","type":1}`, job.ErrFieldType, "type is a number"},
		{`{"id":"r","type":"REST","webhook_url":null}`, job.ErrFieldType, "webhook_url is null; a string is accepted"},
		{`{"id":"r","type":"NATS","streams":"FIRES"}`, job.ErrUnknownField, `"streams"; accepted are id, type, webhook_url`},
		{`{"id":"r","type":"NATS","type":"NATS"}`, job.ErrDuplicateField, "type"},
		{`{"id":"","type":"NATS"}`, job.ErrID, "id is empty"},
		{`{"id":"r","type":"rest","webhook_url":"h"}`, job.ErrRouteType, `"rest"; "REST" and "NATS"`},
		{`{"id":"r","type":"SMTP"}`, job.ErrRouteType, `"SMTP"`},
		{`{"id":"r","type":"NATS","webhook_url":"h"}`, job.ErrWebhookURL, "NATS"},
		{`{"id":"r","type":"REST","webhook_url":""}`, job.ErrWebhookURL, "empty"},
		{`{"id":"r","type":"REST","webhook_url":"ftp://user:s3cret@h/s3cret"}`, job.ErrWebhookURL, "another scheme"},
		{`{"id":"r","type":"REST","webhook_url":"http://user:s3cret@/s3cret"}`, job.ErrWebhookURL, "no host"},
		{`{"id":"r","type":"REST","webhook_url":"http://user:s3cret@h:port/"}`, job.ErrWebhookURL, "parsed"},
		{`{"id":"r","type":"` + strings.Repeat("é", 5000) + `"}`, job.ErrRouteType, `é"…; "REST" and "NATS"`},
		{`{"id":"r","type":"REST","webhook_url":"http://h/s3cret\q"}`, job.ErrSyntax, "byte"},
	} {
		_, err := contract.ParseRoute([]byte(tt.body), job.RouteKey{DB: "db"})
		checkRefusal(t, tt.body, err, tt.want, tt.says)
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error quotes the URL: %v", tt.body, err)
		}
	}
	_, err := contract.ParseRoute([]byte(`{"id":"r","type":"NATS"}`), job.RouteKey{DB: "db", ID: "other"})
	checkRefusal(t, "another id in the path", err, job.ErrIDMismatch, `the id "r" and is addressed by "other"`)
	_, err = contract.ParseRoute([]byte(`{"id":"r","type":"NATS"}`), job.RouteKey{})
	checkRefusal(t, "no db", err, job.ErrID, "db is empty")
}

func TestAppendRoute(t *testing.T) {
	t.Parallel()
	key := job.RouteKey{DB: "db", ID: "r"}
	sub := job.Subscription{Stream: "FIRES", Subject: "fires.db.r", Consumer: "db_r"}
	for _, tt := range []struct {
		route          job.Route
		stored, answer string
	}{
		{job.Route{RouteKey: key, Type: job.REST, WebhookURL: "h/?a=1&b=<2>", Revision: 3},
			`{"id":"r","type":"REST","webhook_url":"h/?a=1&b=<2>"}`,
			`{"id":"r","type":"REST","webhook_url":"h/?a=1&b=<2>"}`},
		{job.Route{RouteKey: key, Type: job.NATS, Subscription: sub},
			`{"id":"r","type":"NATS"}`,
			`{"id":"r","type":"NATS","stream":"FIRES","subject":"fires.db.r","consumer":"db_r"}`},
		{job.Route{RouteKey: key, Type: job.REST, WebhookURL: "h", Breaker: job.Breaker{State: job.BreakerOpen, Until: 7}},
			`{"id":"r","type":"REST","webhook_url":"h"}`,
			`{"id":"r","type":"REST","webhook_url":"h","breaker":{"state":"open","until":7}}`},
	} {
		if got := string(contract.AppendRoute(nil, tt.route)); got != tt.stored {
			t.Errorf("AppendRoute(%+v):\n got %s\nwant %s", tt.route, got, tt.stored)
		}
		if got := string(contract.AppendRouteAnswer(nil, tt.route)); got != tt.answer {
			t.Errorf("AppendRouteAnswer(%+v):\n got %s\nwant %s", tt.route, got, tt.answer)
		}
		if back, err := contract.ParseRoute([]byte(tt.answer), key); err != nil || !back.SameContent(tt.route) {
			t.Errorf("%s, sent back, is read as %+v, %v", tt.answer, back, err)
		}
	}
}

func TestAppendRefusal(t *testing.T) {
	t.Parallel()
	const want = `{"error":"\"<é>\" & ` + "\ufffd" + `","code":"E001"}`
	if got := string(contract.AppendRefusal(nil, "\"<é>\" & \xff", "E001")); got != want {
		t.Errorf("AppendRefusal: got %s, want %s", got, want)
	}
}

// FuzzParseRoute checks that every accepted route is stored and read back as the same
// route, and that every error wraps exactly one of the sentinels.
func FuzzParseRoute(f *testing.F) {
	f.Add([]byte(`{"id":"r","type":"REST","webhook_url":"gameserver-dev-1.myorg.com/timer?action=endgame"}`), "db", "")
	f.Add([]byte(`{"id":"r","type":"REST","webhook_url":"http://[::1]:80/%zz"}`), "db", "r")
	f.Add([]byte(`{"type":"NATS","webhook_url":""}`), "d.b", "é")
	f.Add([]byte(`{"type":"\u004eATS"}`), "\xff", "")
	f.Fuzz(func(t *testing.T, body []byte, db, id string) {
		r, err := contract.ParseRoute(body, job.RouteKey{DB: db, ID: id})
		if err != nil {
			checkOneSentinel(t, err)
			return
		}
		if err := r.Check(); err != nil {
			t.Errorf("accepted %q: %v", body, err)
		}
		stored := contract.AppendRoute(nil, r)
		again, err := contract.ParseStoredRoute(stored, r.RouteKey)
		if err != nil {
			t.Fatalf("ParseRoute(%q), stored as %q, is not read back: %v", body, stored, err)
		}
		if diff := cmp.Diff(r, again, cmpopts.IgnoreFields(job.Route{}, "KeepSecret")); diff != "" {
			t.Errorf("ParseRoute(%q), stored as %q, is read back as (-want +got):\n%s", body, stored, diff)
		}
	})
}
