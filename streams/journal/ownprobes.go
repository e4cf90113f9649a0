package journal

import "sync"

// ownProbes holds the sequences of the probes that this process wrote, by stream, since
// the position of the streams was last recorded. It does not hold the probes of other
// nodes. It is safe for concurrent use.
type ownProbes struct {
	mu   sync.Mutex // guards what follows
	seqs map[string][]uint64
}

// note records a probe's sequence; 0 means that it was not stored.
func (o *ownProbes) note(stream string, seq uint64) {
	if seq == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seqs == nil {
		o.seqs = map[string][]uint64{}
	}
	const most = 1000 // many more than are written between two records
	if o.seqs[stream] = append(o.seqs[stream], seq); len(o.seqs[stream]) > most {
		o.seqs[stream] = o.seqs[stream][1:]
	}
}

// All reports whether the messages of a stream after the sequence behind, up to the
// sequence to, are nothing but these probes.
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
