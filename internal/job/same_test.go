package job_test

import (
	"slices"
	"testing"

	"belfry/internal/fieldtest"
	"belfry/internal/job"
)

// Every field that a client sets counts as content, including any that is added
// later. The exceptions are named here.
func TestEveryFieldIsContent(t *testing.T) {
	t.Parallel()
	everyField(t, job.Job.SameContent, "Trace")
	everyField(t, job.Route.SameContent, "KeepSecret", "Revision", "Breaker.State", "Breaker.Until",
		"Subscription.Stream", "Subscription.Subject", "Subscription.Consumer", "Subscription.APIPrefix")
	everyField(t, job.Policy.Equal)
	everyField(t, job.RetryPolicy.Equal)
	everyField(t, func(_, changed job.RetryPolicy) bool { return changed.IsZero() })
}

func everyField[T any](t *testing.T, same func(zero, changed T) bool, noContent ...string) {
	t.Helper()
	var seen []string
	var zero T
	if !same(zero, zero) {
		t.Errorf("%T: a value differs from itself", zero)
	}
	fieldtest.Each(t, func(path string, changed T) {
		left := slices.Contains(noContent, path)
		if left {
			seen = append(seen, path)
		}
		if got := same(zero, changed); got != left {
			t.Errorf("%T: with another %s it says the same: %v, want %v", zero, path, got, left)
		}
	})
	if len(seen) != len(noContent) {
		t.Errorf("%T: of %v there are %v", zero, noContent, seen)
	}
}

// Lists are compared element by element, and an empty list equals a nil one. The
// exception is the statuses that end the retries: an empty list means that none does.
func TestSameLists(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		a, b job.Policy
		same bool
	}{
		"no headers":     {job.Policy{Headers: map[string]string{}}, job.Policy{}, true},
		"another value":  {job.Policy{Headers: map[string]string{"A": "1"}}, job.Policy{Headers: map[string]string{"A": "2"}}, false},
		"another header": {job.Policy{Headers: map[string]string{"A": "1"}}, job.Policy{Headers: map[string]string{"B": "1"}}, false},
		"same headers":   {job.Policy{Headers: map[string]string{"A": "1", "B": "2"}}, job.Policy{Headers: map[string]string{"B": "2", "A": "1"}}, true},
		"old secrets":    {job.Policy{OldSecrets: []job.OldSecret{{Secret: "a", Until: 1}}}, job.Policy{OldSecrets: []job.OldSecret{{Secret: "a", Until: 2}}}, false},
		"no statuses":    {job.Policy{FinalStatuses: []job.StatusRange{}}, job.Policy{}, false},
		"more statuses":  {job.Policy{FinalStatuses: []job.StatusRange{{400, 499}}}, job.Policy{FinalStatuses: []job.StatusRange{{400, 499}, {500, 500}}}, false},
	} {
		if got := tt.a.Equal(tt.b); got != tt.same {
			t.Errorf("%s: Equal is %v, want %v", name, got, tt.same)
		}
	}
}

// Every content field has a name in the difference of two jobs with the same key.
func TestEveryDifferenceHasAName(t *testing.T) {
	t.Parallel()
	fieldtest.Each(t, func(path string, changed job.Job) {
		if changed.Key != (job.Key{}) {
			return
		}
		same := job.Job{}.SameContent(changed)
		if named := (job.Job{}).Difference(changed); (named == "") != same {
			t.Errorf("with another %s the content is the same: %v; the difference is %q", path, same, named)
		}
	})
}

func TestDifference(t *testing.T) {
	t.Parallel()
	a := job.Job{Trigger: 1, Route: "r", Meta: []byte(`{"a":1}`)}
	for _, tt := range []struct {
		b    job.Job
		want string
	}{
		{a, ""},
		{job.Job{Trigger: 2, Route: "r", Meta: a.Meta}, "trigger_time"},
		{job.Job{Trigger: 2, Route: "s", Meta: a.Meta}, "trigger_time, route"},
		{job.Job{Trigger: 1, Route: "r", Meta: []byte(`{"a": 1}`)}, "meta (each of its bytes counts, white space and the order of fields, too)"},
	} {
		if got := a.Difference(tt.b); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
