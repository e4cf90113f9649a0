package manifest

import (
	"slices"

	"belfry/streams/wire"
)

// Advance records how far the streams are, and reports whether that is worth storing.
// Leases are written all the time, so they alone are not worth it. Messages that idle
// says are probes are not, either; a nil idle counts them.
func (m *Manifest) Advance(n wire.Names, now map[string]Known, idle func(stream string, behind, to uint64) bool) bool {
	changed := false
	for name, k := range now {
		if !slices.Contains(m.Made, name) {
			continue
		}
		was := m.Known[name]
		if k.Created.Equal(was.Created) && k.Last <= was.Last {
			continue // an answer may be late; a stream never goes back
		}
		m.Known[name] = k
		probes := idle != nil && k.Created.Equal(was.Created) && idle(name, was.Last, k.Last)
		changed = changed || !probes && name != n.BelfryStream() && name != n.GatesStream()
	}
	return changed
}
