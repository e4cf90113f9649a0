package contract_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/internal/contract"
	"belfry/internal/job"
)

const (
	secret  = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	private = "whsk_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
)

// TestPolicy reads policies, and writes them both as they are stored and as GET shows
// them.
func TestPolicy(t *testing.T) {
	t.Parallel()
	backoff := job.DefaultRetry()
	backoff.MaxAttempts, backoff.Jitter, backoff.MaxAge = 3, 0, time.Minute
	for _, tt := range []struct {
		body   string // the part after the required fields
		want   job.Policy
		stored string // stored form of the same; empty means body
		answer string // empty means stored
	}{
		{``, job.Policy{}, ``, ``},
		{`,"retry":{"max_attempts":3,"jitter":0,"max_age_ms":60000}`, job.Policy{Retry: backoff},
			`,"retry":{"max_attempts":3,"min_backoff_ms":1000,"max_backoff_ms":3600000,"multiplier":3,"jitter":0,"max_age_ms":60000}`, ``},
		{`,"retry":{"schedule_ms":[1,2000],"max_age_ms":5}`,
			job.Policy{Retry: job.RetryPolicy{Schedule: []time.Duration{1e6, 2e9}, MaxAge: 5e6}}, ``, ``},
		{`,"retry":{}`, job.Policy{Retry: job.DefaultRetry()},
			`,"retry":{"max_attempts":12,"min_backoff_ms":1000,"max_backoff_ms":3600000,"multiplier":3,"jitter":0.2}`, ``},
		{`,"timeout_ms":100,"method":"PUT","content_type":"text/plain"`,
			job.Policy{Timeout: 100 * time.Millisecond, Method: "PUT", ContentType: "text/plain"}, ``, ``},
		{`,"headers":{"x-b":"hunter2","Authorization":"Bearer \"hunter2\""}`,
			job.Policy{Headers: map[string]string{"X-B": "hunter2", "Authorization": `Bearer "hunter2"`}},
			`,"headers":{"Authorization":"Bearer \"hunter2\"","X-B":"hunter2"}`, `,"headers":{"Authorization":"********","X-B":"********"}`},
		{`,"headers":{}`, job.Policy{}, ` `, ` `},
		{`,"final_statuses":[404,"5xx"]`, job.Policy{FinalStatuses: []job.StatusRange{{First: 404, Last: 404}, {First: 500, Last: 599}}}, ``, ``},
		{`,"final_statuses":[]`, job.Policy{FinalStatuses: []job.StatusRange{}}, ``, ``},
		{`,"secret":"` + secret + `"`, job.Policy{Secret: secret}, ``, `,"secret":"********"`},
		{`,"secret":null`, job.Policy{}, ` `, ` `},
		{`,"secret":"` + private + `"`, job.Policy{Secret: private}, ``,
			`,"secret":"********","public_key":"whpk_e8MHlRjtEdoDNghb9pYpIP+H+zxNYwqbWMthU2dPXdY="`},
		{`,"concurrency":1000,"rate_limit":{"per_second":0.25}`,
			job.Policy{Concurrency: 1000, RateLimit: job.RateLimit{PerSecond: 0.25, Burst: 1}},
			`,"concurrency":1000,"rate_limit":{"per_second":0.25,"burst":1}`, ``},
		{`,"max_lateness_ms":1,"paused":true,"paused_until":4102444800000`,
			job.Policy{MaxLateness: time.Millisecond, Paused: true, PausedUntil: 4102444800000}, ``, ``},
		{`,"paused":false`, job.Policy{}, ` `, ` `},
	} {
		if tt.stored == "" {
			tt.stored = tt.body
		}
		if tt.answer == "" {
			tt.answer = tt.stored
		}
		const begin = `{"id":"r","type":"REST","webhook_url":"h"`
		key := job.RouteKey{DB: "db", ID: "r"}
		want := job.Route{RouteKey: key, Type: job.REST, WebhookURL: "h", Policy: tt.want}
		got, err := contract.ParseRoute([]byte(begin+tt.body+"}"), key)
		want.KeepSecret = !strings.Contains(tt.body, `"secret"`)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s is read as (-want +got): %v\n%s", tt.body, err, diff)
			continue
		}
		stored, answer := begin+strings.TrimSpace(tt.stored)+"}", begin+strings.TrimSpace(tt.answer)+"}"
		if text := string(contract.AppendRoute(nil, got)); text != stored {
			t.Errorf("%s is stored as\n got %s\nwant %s", tt.body, text, stored)
		}
		if text := string(contract.AppendRouteAnswer(nil, got)); text != answer {
			t.Errorf("%s is shown as\n got %s\nwant %s", tt.body, text, answer)
		}
		if _, err := contract.ParseRoute([]byte(answer), key); err != nil {
			t.Errorf("%s, sent back: %v", answer, err)
		}
		if again, err := contract.ParseStoredRoute([]byte(stored), key); err != nil || !again.SameContent(want) {
			t.Errorf("%s, stored, is read as %+v, %v", tt.body, again, err)
		}
	}
}

func TestPolicyOfNATS(t *testing.T) {
	t.Parallel()
	const body = `{"id":"r","type":"NATS","ack_wait_ms":5000,"max_deliver":3,"paused":true}`
	r, err := contract.ParseRoute([]byte(body), job.RouteKey{DB: "db"})
	want := job.Policy{AckWait: 5 * time.Second, MaxDeliver: 3, Paused: true}
	if err != nil || !r.Policy.Equal(want) {
		t.Errorf("%s is read as %+v, %v; want %+v", body, r.Policy, err, want)
	}
	if got := string(contract.AppendRoute(nil, r)); got != body {
		t.Errorf("%s is stored as %s", body, got)
	}
}

func TestPolicyRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		body string
		want error
		says string
	}{
		{`"retry":[]`, job.ErrFieldType, "retry is an array; an object"},
		{`"retry":{"tries":1}`, job.ErrUnknownField, `in retry: unknown field: "tries"; accepted are max_attempts, `},
		{`"retry":{"max_attempts":1,"max_attempts":2}`, job.ErrDuplicateField, "max_attempts"},
		{`"retry":{"max_attempts":0}`, job.ErrPolicy, `retry.max_attempts: "0"; accepted: 1 to 1000`},
		{`"retry":{"max_attempts":4294967297}`, job.ErrPolicy, "retry.max_attempts: 4294967297; accepted: 1 to 1000"},
		{`"retry":{"max_attempts":1.5}`, job.ErrPolicy, `retry.max_attempts: "1.5"`},
		{`"retry":{"multiplier":0}`, job.ErrPolicy, `retry.multiplier: "0"`},
		{`"retry":{"multiplier":1e999}`, job.ErrPolicy, `retry.multiplier: "1e999"`},
		{`"retry":{"jitter":"a lot"}`, job.ErrFieldType, "retry.jitter is a string; a number"},
		{`"retry":{"schedule_ms":[1],"jitter":0}`, job.ErrPolicy, "retry.schedule_ms: it is given beside max_attempts or fields of the backoff"},
		{`"retry":{"schedule_ms":[]}`, job.ErrPolicy, "retry.schedule_ms: it has 0 waits"},
		{`"retry":{"schedule_ms":[0]}`, job.ErrPolicy, `retry.schedule_ms: "0"`},
		{`"retry":{"schedule_ms":1000}`, job.ErrFieldType, "retry.schedule_ms is a number; an array"},
		{`"retry":{"max_age_ms":9223372036855}`, job.ErrPolicy, "retry.max_age_ms: 9223372036855; accepted: 1 to"},
		{`"timeout_ms":0`, job.ErrPolicy, `timeout_ms: "0"; accepted: 100 to 300000`},
		{`"timeout_ms":"15s"`, job.ErrFieldType, "timeout_ms is a string; an integer"},
		{`"timeout_ms":null`, job.ErrFieldType, "timeout_ms is null"},
		{`"method":""`, job.ErrPolicy, "method: it is empty; accepted: POST, PUT and PATCH"},
		{`"method":"get"`, job.ErrPolicy, `method: "get"`},
		{`"content_type":"json"`, job.ErrPolicy, `content_type: "json"`},
		{`"headers":{"X-A":1}`, job.ErrFieldType, "each value of headers is a number"},
		{`"headers":{"X-A":"a","x-a":"b"}`, job.ErrDuplicateField, "each name is accepted once, however it is written"},
		{`"headers":{"host":"hunter2"}`, job.ErrPolicy, "headers: Host is one that"},
		{`"final_statuses":["2xx"]`, job.ErrPolicy, `final_statuses: "2xx" is in it`},
		{`"final_statuses":[600]`, job.ErrPolicy, "final_statuses: 600 is in it"},
		{`"final_statuses":[4294967700]`, job.ErrPolicy, "final_statuses: 4294967700 is in it"},
		{`"final_statuses":[true]`, job.ErrFieldType, "final_statuses is a boolean"},
		{`"secret":""`, job.ErrPolicy, "secret: it is empty"},
		{`"secret":"hunter2"`, job.ErrPolicy, "secret: it has neither prefix"},
		{`"concurrency":-1`, job.ErrPolicy, `concurrency: "-1"`},
		{`"rate_limit":{}`, job.ErrMissingField, "in rate_limit: a field is missing: per_second"},
		{`"rate_limit":{"per_second":1e300}`, job.ErrPolicy, "rate_limit.per_second: 1e+300"},
		{`"rate_limit":{"per_second":1,"burst":0}`, job.ErrPolicy, `rate_limit.burst: "0"`},
		{`"paused":1`, job.ErrFieldType, "paused is a number; a boolean"},
		{`"paused_until":1667659342`, job.ErrPolicy, "paused_until: 1667659342;"},
		{`"ack_wait_ms":1000`, job.ErrPolicy, "ack_wait_ms: the route is of type REST; accepted: the field for routes of type NATS"},
		{`"old_secrets":[]`, job.ErrUnknownField, `"old_secrets"`},
	} {
		body := `{"id":"r","type":"REST","webhook_url":"h",` + tt.body + `}`
		_, err := contract.ParseRoute([]byte(body), job.RouteKey{DB: "db"})
		checkRefusal(t, body, err, tt.want, tt.says)
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error quotes a secret: %v", body, err)
		}
	}
}

// A request may leave stored secrets unchanged.
func TestParseRouteLeavesSecrets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		body   string
		secret string
		keep   bool
	}{
		{``, "", true}, {`,"secret":null`, "", false}, {`,"secret":"********"`, job.Hidden, false}, {`,"secret":"` + secret + `"`, secret, false},
	} {
		body := `{"type":"REST","webhook_url":"h","headers":{"X-A":"********"}` + tt.body + `}`
		r, err := contract.ParseRoute([]byte(body), job.RouteKey{DB: "db", ID: "r"})
		if err != nil || r.Secret != tt.secret || r.KeepSecret != tt.keep || r.Headers["X-A"] != job.Hidden {
			t.Errorf("%s: got secret %q, keep %v, headers %v, %v; want %q, %v", body, r.Secret, r.KeepSecret, r.Headers, err, tt.secret, tt.keep)
		}
	}
}

// The contract reads exactly the fields of the one table.
func TestPolicyFieldNames(t *testing.T) {
	t.Parallel()
	_, err := contract.ParseRoute([]byte(`{"?":1}`), job.RouteKey{DB: "db"})
	_, list, _ := strings.Cut(err.Error(), "accepted are id, type, webhook_url, ")
	var want []string
	for _, f := range job.PolicyFields() {
		name, _, _ := strings.Cut(f.Name, ".")
		if !slices.Contains(want, name) {
			want = append(want, name)
		}
	}
	if diff := cmp.Diff(want, strings.Split(list, ", ")); diff != "" {
		t.Errorf("fields of a route (-table +contract):\n%s", diff)
	}
	for _, object := range []string{"retry", "rate_limit"} {
		_, err := contract.ParseRoute([]byte(`{"`+object+`":{"?":1}}`), job.RouteKey{DB: "db"})
		_, list, _ := strings.Cut(err.Error(), "accepted are ")
		var want []string
		for _, f := range job.PolicyFields() {
			if name, ok := strings.CutPrefix(f.Name, object+"."); ok {
				want = append(want, name)
			}
		}
		if diff := cmp.Diff(want, strings.Split(list, ", ")); diff != "" {
			t.Errorf("fields of %s (-table +contract):\n%s", object, diff)
		}
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		body, secret string
		grace        time.Duration
		want         error
		says         string
	}{
		{``, "", 24 * time.Hour, nil, ""},
		{"\n", "", 24 * time.Hour, nil, ""},
		{`{}`, "", 24 * time.Hour, nil, ""},
		{`{"secret":"` + secret + `","grace_ms":0}`, secret, 0, nil, ""},
		{`{"grace_ms":2592000000}`, "", 30 * 24 * time.Hour, nil, ""},
		{`{"grace_ms":2592000001}`, "", 0, job.ErrPolicy, `grace_ms: "2592000001"; accepted: 0 to 2592000000`},
		{`{"grace_ms":-1}`, "", 0, job.ErrPolicy, `grace_ms: "-1"`},
		{`{"grace_ms":"1h"}`, "", 0, job.ErrFieldType, "grace_ms is a string"},
		{`{"secret":"hunter2"}`, "", 0, job.ErrPolicy, "secret: it has neither prefix"},
		{`{"id":"r"}`, "", 0, job.ErrUnknownField, `"id"; accepted are secret, grace_ms`},
	} {
		gotSecret, grace, err := contract.ParseRotation([]byte(tt.body))
		if tt.want != nil {
			checkRefusal(t, tt.body, err, tt.want, tt.says)
		} else if err != nil || gotSecret != tt.secret || grace != tt.grace {
			t.Errorf("%s: got %q, %v, %v; want %q, %v", tt.body, gotSecret, grace, err, tt.secret, tt.grace)
		}
	}
	r := job.Route{Policy: job.Policy{Secret: secret, OldSecrets: []job.OldSecret{{Secret: private, Until: 5}, {Secret: private, Until: 4}}}}
	if got, want := string(contract.AppendRotation(nil, r)), `{"status":"ok","secret":"`+secret+`","old_secrets_until":5}`; got != want {
		t.Errorf("AppendRotation: got %s, want %s", got, want)
	}
}

// FuzzPolicy checks that every accepted policy is stored and read back as the same,
// and that no answer shows a secret.
func FuzzPolicy(f *testing.F) {
	for _, fields := range []string{
		`"retry":{"max_attempts":3,"jitter":0.5,"multiplier":1e0,"max_age_ms":60000},"timeout_ms":200`,
		`"retry":{"schedule_ms":[1,2]},"headers":{"x":"y"},"final_statuses":["4xx",500]`,
		`"secret":"` + private + `","rate_limit":{"per_second":0.1,"burst":3},"paused_until":1667659342626`,
		`"secret":"` + secret + `","old_secrets":[{"secret":"` + private + `","until":1}]`,
	} {
		f.Add([]byte(fields))
	}
	f.Fuzz(func(t *testing.T, fields []byte) {
		body := append([]byte(`{"type":"REST","webhook_url":"h",`), append(fields, '}')...)
		r, err := contract.ParseStoredRoute(body, job.RouteKey{DB: "db", ID: "r"})
		if err != nil {
			checkOneSentinel(t, err)
			return
		}
		stored := contract.AppendRoute(nil, r)
		again, err := contract.ParseStoredRoute(stored, r.RouteKey)
		if err != nil || !again.SameContent(r) {
			t.Errorf("%q, stored as %q, is read back as %+v, %v; want %+v", body, stored, again, err, r)
		}
		var shown struct {
			Secret  string
			Headers map[string]string
		}
		answer := contract.AppendRouteAnswer(nil, r)
		if err := json.Unmarshal(answer, &shown); err != nil {
			t.Fatalf("the answer %q is no JSON: %v", answer, err)
		}
		if r.Secret != "" && shown.Secret != job.Hidden || r.Secret == "" && shown.Secret != "" {
			t.Errorf("the answer %q shows a secret", answer)
		}
		for name, value := range shown.Headers {
			if value != job.Hidden {
				t.Errorf("the answer %q shows the value of %s", answer, name)
			}
		}
	})
}

func FuzzParseRotation(f *testing.F) {
	for _, body := range []string{"", "{}", `{"secret":"` + job.EncodeSecret(make([]byte, 24)) + `","grace_ms":5}`, `{"grace_ms":1e3}`, "["} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		secret, grace, err := contract.ParseRotation([]byte(body))
		if err == nil && (grace < 0 || grace > job.MaxGrace || secret != "" && job.CheckSecret(secret) != nil) {
			t.Errorf("%q is read as %q, %v", body, secret, grace)
		}
	})
}
