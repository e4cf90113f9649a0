package contract_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"belfry/internal/contract"
	"belfry/internal/job"
)

// Ids that clients and proxies leave out of a path are refused for anything new, and
// things that were created with them can still be read.
func TestDotsAreNoIDs(t *testing.T) {
	t.Parallel()
	const body = `{"trigger_time":1667659342626,"route":"r"}`
	for _, dots := range []string{".", ".."} {
		for _, key := range []job.Key{{DB: dots, Collection: "c", ID: "i"}, {DB: "d", Collection: dots, ID: "i"}, {DB: "d", Collection: "c", ID: dots}} {
			if _, err := contract.ParseJob([]byte(body), key, 100); !errors.Is(err, job.ErrID) {
				t.Errorf("a job %+v: %v, want %v", key, err, job.ErrID)
			}
			if _, err := contract.ParseStoredJob([]byte(body), key, 100); err != nil {
				t.Errorf("a stored job %+v: %v", key, err)
			}
		}
		if _, err := contract.ParseJob([]byte(`{"id":"i","trigger_time":1667659342626,"route":"`+dots+`"}`), job.Key{DB: "d", Collection: "c"}, 100); !errors.Is(err, job.ErrID) {
			t.Errorf("the route %s of a job: %v, want %v", dots, err, job.ErrID)
		}
		for _, key := range []job.RouteKey{{DB: dots, ID: "i"}, {DB: "d", ID: dots}} {
			if _, err := contract.ParseRoute([]byte(`{"type":"NATS"}`), key); !errors.Is(err, job.ErrID) {
				t.Errorf("a route %+v: %v, want %v", key, err, job.ErrID)
			}
			if _, err := contract.ParseStoredRoute([]byte(`{"type":"NATS"}`), key); err != nil {
				t.Errorf("a stored route %+v: %v", key, err)
			}
		}
		if err := (job.Token{Role: job.Reader, DBs: []string{dots}}).Check(time.Now()); !errors.Is(err, job.ErrID) {
			t.Errorf("a token for the db %s: %v, want %v", dots, err, job.ErrID)
		}
	}
	for _, id := range []string{"...", "a..b", ".a", "-"} {
		if _, err := contract.ParseJob([]byte(body), job.Key{DB: id, Collection: id, ID: id}, 100); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// A byte order mark before a body refuses the whole body, and the error names it.
func TestByteOrderMarkOfABody(t *testing.T) {
	t.Parallel()
	const object = `{"id":"i","trigger_time":1667659342626,"route":"r"}`
	_, err := contract.ParseJob([]byte("\ufeff"+object), job.Key{DB: "d", Collection: "c"}, 100)
	if !errors.Is(err, job.ErrSyntax) || !strings.Contains(err.Error(), "byte order mark") {
		t.Errorf("a job: %v", err)
	}
	for _, body := range []string{"[" + object + "]", object + "\n" + object} {
		_, _, more, err := contract.NewBulk(strings.NewReader("\ufeff"+body), 1000).Next()
		if more || !errors.Is(err, job.ErrSyntax) || !strings.Contains(err.Error(), "byte order mark") {
			t.Errorf("a bulk %q: %v, and more: %v", body, err, more)
		}
	}
}

func TestNumbersThatBeginWithZero(t *testing.T) {
	t.Parallel()
	for _, number := range []string{"01796000000000", "00", "-01"} {
		_, err := contract.ParseJob([]byte(`{"id":"i","trigger_time":`+number+`,"route":"r"}`), job.Key{DB: "d", Collection: "c"}, 100)
		if !errors.Is(err, job.ErrSyntax) || !strings.Contains(err.Error(), "trigger_time is a number that begins with 0") {
			t.Errorf("%s: %v, want that it begins with 0", number, err)
		}
	}
	_, err := contract.ParseRoute([]byte(`{"type":"REST","webhook_url":"h","timeout_ms":01000}`), job.RouteKey{DB: "d", ID: "i"})
	if !errors.Is(err, job.ErrSyntax) || !strings.Contains(err.Error(), "timeout_ms is a number that begins with 0") {
		t.Errorf("timeout_ms: %v, want that it begins with 0", err)
	}
	if _, err := contract.ParseJob([]byte(`{"id":"i","trigger_time":0,"route":"r"}`), job.Key{DB: "d", Collection: "c"}, 100); !errors.Is(err, job.ErrTriggerTime) {
		t.Errorf("0: %v", err)
	}
}

func TestRouteDifference(t *testing.T) {
	t.Parallel()
	a := job.Route{Type: job.REST, WebhookURL: "http://hunter2", Policy: job.Policy{Timeout: time.Second, Secret: "hunter2"}}
	b := job.Route{Type: job.REST, WebhookURL: "http://h", Policy: job.Policy{Concurrency: 3, Secret: "hunter3"}}
	if got, want := contract.RouteDifference(a, b), "secret, timeout_ms, webhook_url, concurrency"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := contract.RouteDifference(a, a); got != "" {
		t.Errorf("a route differs from itself in %q", got)
	}
}
