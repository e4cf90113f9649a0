package api

import (
	"context"
	"crypto/rand"
	"net/http"

	"belfry/internal/contract"
	"belfry/internal/job"
)

// secretBytes is the length of a secret that Belfry makes.
const secretBytes = 32

// rotateSecret gives a route a new secret, and makes one if none is given.
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

// routeKey is like [jobKey].
func routeKey(r *http.Request) job.RouteKey {
	return job.RouteKey{DB: r.PathValue("db"), ID: r.PathValue("id")}
}
