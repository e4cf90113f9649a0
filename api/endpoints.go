package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"time"

	"belfry/internal/contract"
	"belfry/internal/job"
)

var ok = []byte(contract.OK)

// secretBytes is how long a secret is that Belfry makes.
const secretBytes = 32

// rotateSecret gives a route a new secret, and makes one if it is not given.
func (a *api) rotateSecret(ctx context.Context, r *http.Request, body []byte) ([]byte, error) {
	secret, grace, err := contract.ParseRotation(body)
	if err != nil {
		return nil, err
	}
	if secret == "" {
		random := make([]byte, secretBytes)
		rand.Read(random) // never fails
		secret = job.EncodeSecret(random)
	}
	route, err := a.Operations.Routes.Rotate(ctx, routeKey(r), secret, grace)
	if err != nil {
		return nil, err
	}
	return contract.AppendRotation(nil, route), nil
}

// emptyID answers a path that ends where the id should be.
func emptyID(context.Context, *http.Request, []byte) ([]byte, error) {
	return nil, job.CheckID("id", "")
}

// healthz says that the process is alive.
func (a *api) healthz(context.Context, *http.Request, []byte) ([]byte, error) { return ok, nil }

// readyTime bounds a probe: those who send them give up soon, too.
const readyTime = 2 * time.Second

// readyz says whether requests can be served.
func (a *api) readyz(ctx context.Context, _ *http.Request, _ []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	if err := a.Ready(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotReady, err)
	}
	return ok, nil
}

// jobKey is the key in the path, which [api.serve] has unescaped and checked;
// its ID is empty on a path without one.
func jobKey(r *http.Request) job.Key {
	return job.Key{DB: r.PathValue("db"), Collection: r.PathValue("collection"), ID: r.PathValue("id")}
}

// routeKey is like [jobKey].
func routeKey(r *http.Request) job.RouteKey {
	return job.RouteKey{DB: r.PathValue("db"), ID: r.PathValue("id")}
}
