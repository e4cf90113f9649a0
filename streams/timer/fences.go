package timer

import "sync"

// writtenFences holds the sequences of the last fences that this process wrote for a
// partition. It is safe for concurrent use.
type writtenFences struct {
	mu   sync.Mutex // guards what follows
	seqs []uint64
	lost bool // an answer was lost since the fences were last counted
}

func (w *writtenFences) noAnswer() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost = true
}

func (w *writtenFences) note(seq uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	const most = 1000 // many more than there can be between two counts
	if w.seqs = append(w.seqs, seq); len(w.seqs) > most {
		w.seqs = w.seqs[1:]
	}
}

// between counts the fences after the sequence from, up to to. It reports whether there
// may be more whose answers were lost.
func (w *writtenFences) between(from, to uint64) (n int, lost bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lost, w.lost = w.lost, false
	for _, seq := range w.seqs {
		if seq > from && seq <= to {
			n++
		}
	}
	return n, lost
}
