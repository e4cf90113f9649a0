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

// probeTime bounds a probe: its senders give up soon, too.
const probeTime = 2 * time.Second

// readyz says whether requests can be served. It answers when ctx ends even if the
// check hangs, as a lock does while a disk does not write. One look is under way at a
// time, however many probes come.
func (a *api) readyz(ctx context.Context, _ *http.Request, _ []byte) ([]byte, error) {
	most := min(probeTime, a.Timeout)
	look := a.looks.DoChan("", func() (any, error) { return a.look(most - most/10) })
	select {
	case found := <-look:
		if found.Err != nil {
			return nil, found.Err
		}
		return contract.AppendReady(nil, found.Val.([]string)), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: looking for what is amiss takes more than %v, as when the disk or the NATS server hangs", errNotReady, most)
	}
}

// look checks what is wrong, within a time that leaves some to answer with the result.
// It runs beside the handler, so it recovers its own panics. A look that hangs may
// outlive the API; it only reads.
func (a *api) look(most time.Duration) (warnings []string, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = Panicked(v)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	if err := a.Ready(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotReady, err)
	}
	if warnings = a.Warnings(); ctx.Err() != nil { // the readiness result is old by now
		return nil, fmt.Errorf("%w: looking for warnings took more than %v", errNotReady, most)
	}
	return warnings, nil
}
