package contract_test

import (
	"slices"
	"testing"

	"belfry/internal/contract"
	"belfry/internal/fieldtest"
	"belfry/internal/job"
)

// Every content field of a job and of a route is part of the stored value: a change
// of it is not lost.
func TestEveryFieldIsStored(t *testing.T) {
	t.Parallel()
	route := func(r job.Route) string { return string(contract.AppendRoute(nil, r)) }
	fieldtest.Each(t, func(path string, changed job.Route) {
		if inKey := path == "DB"; !changed.SameContent(job.Route{}) && !inKey && route(changed) == route(job.Route{}) {
			t.Errorf("another %s of a route is stored as the same", path)
		}
	})
	stored := func(j job.Job) string { return string(contract.AppendJob(nil, j)) }
	fieldtest.Each(t, func(path string, changed job.Job) {
		if inKey := slices.Contains([]string{"DB", "Collection"}, path); !changed.SameContent(job.Job{}) && !inKey && stored(changed) == stored(job.Job{}) {
			t.Errorf("another %s of a job is stored as the same", path)
		}
	})
}
