package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"belfry/internal/contract"
)

// healthz says that the process is alive.
func (a *api) healthz(context.Context, *http.Request, []byte) ([]byte, error) { return ok, nil }

// probeTime bounds a probe: those who send them give up soon, too.
const probeTime = 2 * time.Second

// readyz says whether requests can be served.
func (a *api) readyz(ctx context.Context, _ *http.Request, _ []byte) ([]byte, error) {
	if err := a.Ready(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotReady, err)
	}
	return contract.AppendReady(nil, a.Warnings()), nil
}
