package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/api"
)

// The description has the operationId, the access and the body of each endpoint as in
// its row.
func TestEndpointsAreDescribed(t *testing.T) {
	t.Parallel()
	want, got := map[string][]string{}, map[string][]string{}
	for _, row := range api.Rows(api.Operations{}) {
		role := string(row.Role)
		if role == "" {
			role = "nobody"
		}
		if want[row.Operation] != nil {
			t.Errorf("two endpoints have the operationId %s", row.Operation)
		}
		want[row.Operation] = []string{row.Endpoint, "for " + role, fmt.Sprint("body: ", row.MaxBody != 0)}
	}
	for path, methods := range at(spec(), "paths").(map[string]any) {
		for method := range methods.(map[string]any) {
			op := at(spec(), "paths", path, method)
			role := string(mustJSON(at(op, "security")))
			switch role {
			case `[]`:
				role = "nobody"
			case `[{"bearer":["reader"]},{}]`, `[{"bearer":["writer"]},{}]`, `[{"bearer":["admin"]},{}]`:
				role = strings.Split(role, `"`)[3]
			}
			id, _ := at(op, "operationId").(string)
			if got[id] != nil {
				t.Errorf("two operations have the operationId %q", id)
			}
			got[id] = []string{strings.ToUpper(method) + " " + path, "for " + role, fmt.Sprint("body: ", at(op, "requestBody") != nil)}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the endpoints of the table (-) and of openapi.json (+) differ:\n%s", diff)
	}
}

// Each endpoint reads as much of a body as its row says, and no more.
func TestBodyLimits(t *testing.T) {
	t.Parallel()
	cfg := config(newStore())
	cfg.Operations.MaxMeta = 1000
	handler := api.New(cfg)
	values := strings.NewReplacer("{db}", "db", "{collection}", "c", "{id}", "i", "{sequence}", "1")
	whole, most, largest := 0, int64(0), []string{}
	for _, row := range api.Rows(cfg.Operations) {
		refused := func(body string) bool {
			method, path, _ := strings.Cut(values.Replace(row.Endpoint), " ")
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
			return w.Code == http.StatusRequestEntityTooLarge
		}
		if row.MaxBody <= 0 {
			if refused(strings.Repeat("{}\n", 100_000)) {
				t.Errorf("%s refuses a long body, want it to read none or all of it", row.Endpoint)
			}
			continue
		}
		whole++
		if int64(row.MaxBody) > most {
			most, largest = int64(row.MaxBody), nil
		}
		if int64(row.MaxBody) == most {
			largest = append(largest, row.Operation)
		}
		longest := strings.Repeat(" ", int(row.MaxBody))
		if refused(longest) {
			t.Errorf("%s refuses a body of %d bytes", row.Endpoint, row.MaxBody)
		}
		if !refused(longest + " ") {
			t.Errorf("%s takes a body of %d bytes", row.Endpoint, row.MaxBody+1)
		}
	}
	if slices.Sort(largest); !slices.Equal(largest, []string{"createJob", "updateJob"}) {
		t.Errorf("%q take the largest bodies, want those that bring a job", largest)
	}
	if whole < 10 {
		t.Errorf("%d endpoints read a whole body, want at least 10", whole)
	}
}

// The store has the configured time to answer. A probe has two seconds, or that time
// if it is shorter. The last tenth of it is for the answer.
func TestTimeLimits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		timeout time.Duration
		path    string
		want    time.Duration
	}{
		{0, "/job/db/c/i", api.DefaultTimeout},
		{time.Minute, "/job/db/c/i", time.Minute},
		{time.Minute, "/dead/db", time.Minute},
		{0, "/readyz", 1800 * time.Millisecond},
		{time.Minute, "/readyz", 1800 * time.Millisecond},
		{time.Second, "/readyz", 900 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			hangs := func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			}
			s := newStore()
			s.fail = hangs
			cfg := config(s)
			cfg.Timeout, cfg.Ready = tt.timeout, hangs
			defer time.Sleep(time.Minute) // a probe's look ends beside it; the time is virtual
			began, w := time.Now(), httptest.NewRecorder()
			api.New(cfg).ServeHTTP(w, httptest.NewRequest("GET", tt.path, nil))
			if took := time.Since(began); took != tt.want || w.Code != http.StatusServiceUnavailable {
				t.Errorf("GET %s with the timeout %v: status %d after %v, want 503 after %v", tt.path, tt.timeout, w.Code, took, tt.want)
			}
		})
	}
}
