package audit

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"belfry/internal/metrics"
)

// report is what is amiss with each asset, as it was found last. It is safe for
// concurrent use.
type report struct {
	log     *slog.Logger
	metrics *metrics.Streams

	mu   sync.Mutex        // guards what follows
	harm map[string]string // what is amiss with each asset
}

// note takes in what is amiss with an asset now; empty is nothing. It says what
// is new.
func (r *report) note(asset, amiss string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.harm[asset]
	switch {
	case amiss == was:
		return
	case amiss == "":
		delete(r.harm, asset)
		r.log.Info("an asset is as it should be again", "asset", asset)
	default:
		r.harm[asset] = amiss
		r.log.Error("an asset was harmed by other hands and cannot be mended", "asset", asset, "amiss", amiss)
	}
	r.metrics.Harmed(len(r.harm))
}

// amiss says in words what is amiss.
func (r *report) amiss() (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, asset := range slices.Sorted(maps.Keys(r.harm)) {
		all = append(all, r.harm[asset])
	}
	const most = 3
	if more := len(all) - most; more > 0 {
		all = append(all[:most], fmt.Sprintf("and %d more", more))
	}
	return all
}

// harmed names those with which something is amiss.
func (r *report) harmed() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.harm))
}
