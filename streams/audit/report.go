package audit

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"belfry/internal/metrics"
)

// report holds what is wrong with each asset, as of the last look. It is safe for
// concurrent use.
type report struct {
	log     *slog.Logger
	metrics *metrics.Streams

	mu   sync.Mutex        // guards what follows
	harm map[string]string // what is wrong with each asset
}

// note records what is wrong with an asset now, or that nothing is if amiss is empty. It
// logs what is new.
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

// amiss describes what is wrong.
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

// harmed returns the names of the assets with something wrong.
func (r *report) harmed() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.harm))
}
