package journal

import "sync"

// ownProbes are the sequences of the probes that this process has written, by stream,
// since it was written down how far the streams are. Those of other nodes are not
// among them. It is safe for concurrent use.
type ownProbes struct {
	mu   sync.Mutex // guards what follows
	seqs map[string][]uint64
}

// note takes in a probe; 0 is one that was not stored.
func (o *ownProbes) note(stream string, seq uint64) {
	if seq == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seqs == nil {
		o.seqs = map[string][]uint64{}
	}
	const most = 1000 // many more than there are between two notes
	if o.seqs[stream] = append(o.seqs[stream], seq); len(o.seqs[stream]) > most {
		o.seqs[stream] = o.seqs[stream][1:]
	}
}

// All reports whether nothing but these probes came behind one sequence of a stream up
// to another.
func (o *ownProbes) All(stream string, behind, to uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := uint64(0)
	for _, seq := range o.seqs[stream] {
		if seq > behind && seq <= to {
			n++
		}
	}
	return n == to-behind
}
