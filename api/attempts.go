package api

import (
	"context"
	"net/http"

	"belfry/internal/contract"
	"belfry/internal/job"
)

// Attempts is the store of the results of jobs' tries.
type Attempts interface {
	// Of returns the tries of the job that are kept, oldest first.
	Of(context.Context, job.Key) ([]job.Attempt, error)
}

// jobAttempts shows the tries of a job, even when the job itself is no longer kept.
func (a *api) jobAttempts(ctx context.Context, r *http.Request, _ []byte) ([]byte, error) {
	all, err := a.Attempts.Of(ctx, jobKey(r))
	if err == nil && len(all) == 0 {
		_, err = a.Operations.Jobs.Get(ctx, jobKey(r)) // there may be no such job
	}
	if err != nil {
		return nil, err
	}
	return contract.AppendAttempts(nil, all), nil
}

// jobKey is the key in the path, which [api.serve] has unescaped and checked;
// its ID is empty on a path without one.
func jobKey(r *http.Request) job.Key {
	return job.Key{DB: r.PathValue("db"), Collection: r.PathValue("collection"), ID: r.PathValue("id")}
}
