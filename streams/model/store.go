package model

import (
	"math/rand/v2"

	"belfry/internal/job"
)

// A schedule has at most maxKeys jobs, named a, b, c …; the epoch record has
// a key of its own behind them.
const (
	maxKeys  = 4
	epochKey = maxKeys
)

func keyOf(k job.Key) int { return int(k.ID[0] - 'a') }

// unconditional stands for a write without a compare-and-set.
const unconditional = ^uint64(0)

// jobs is the bucket of the partition: history 1, one sequence for all
// keys, and compare-and-set on the revision of a key. Nothing expires.
type jobs struct {
	log    []write // revision r is log[r-1]; overwritten ones are kept for the check
	newest [maxKeys + 1]uint64
}

// write is one message of the bucket: a record, or the epoch record.
type write struct {
	key   int
	rec   job.Record
	epoch uint64 // the fence, for an epoch record
	at    int64
	late  bool // its writer has died meanwhile
}

// put writes m if the key is at revision expected, and returns m's revision.
func (s *jobs) put(m write, expected uint64) (uint64, bool) {
	if expected != unconditional && s.newest[m.key] != expected {
		return 0, false
	}
	revision := s.last() + 1
	m.rec.Revision = revision
	s.log = append(s.log, m)
	s.newest[m.key] = revision
	return revision, true
}

// get reads from the leader. Revision 0 means that there is no record.
func (s *jobs) get(key int) job.Record {
	if s.newest[key] == 0 {
		return job.Record{}
	}
	return s.log[s.newest[key]-1].rec
}

// getStale reads from a replica that lags behind: any state that the key ever had, up to
// the newest.
func (s *jobs) getStale(key int, rng *rand.Rand) job.Record {
	upTo := rng.IntN(len(s.log) + 1)
	for i := upTo - 1; i >= 0; i-- {
		if s.log[i].key == key {
			return s.log[i].rec
		}
	}
	return job.Record{}
}

// next returns the first message behind position pos that has not been overwritten. A
// consumer of the bucket sees that message next.
func (s *jobs) next(pos uint64) (write, uint64, bool) {
	revision := uint64(0)
	for _, r := range s.newest {
		if r > pos && (revision == 0 || r < revision) {
			revision = r
		}
	}
	if revision == 0 {
		return write{}, 0, false
	}
	return s.log[revision-1], revision, true
}

// last returns the highest revision.
func (s *jobs) last() uint64 { return uint64(len(s.log)) }

// fires is the FIRES stream: fires, and the fences of the partition.
type fires struct {
	log   []message // sequence s is log[s-1]
	fence uint64    // the sequence of the newest fence
}

// message is one message of FIRES: a fire, or a fence, which has an op.
type message struct {
	fire   job.Fire
	op     string
	at     int64
	purged bool // it cannot be read any more
}

// publish appends a fire, if the newest fence is still the expected one.
func (s *fires) publish(f job.Fire, expected uint64, at int64) (uint64, bool) {
	if expected != unconditional && s.fence != expected {
		return 0, false
	}
	f.Seq = uint64(len(s.log) + 1)
	s.log = append(s.log, message{fire: f, at: at})
	return f.Seq, true
}

// writeFence appends a fence, if the newest is still the expected one.
func (s *fires) writeFence(op string, expected uint64, at int64) (uint64, bool) {
	if s.fence != expected {
		return 0, false
	}
	s.log = append(s.log, message{op: op, at: at})
	s.fence = uint64(len(s.log))
	return s.fence, true
}

// fenceOp is the operation that wrote the newest fence.
func (s *fires) fenceOp() string {
	if s.fence == 0 {
		return ""
	}
	return s.log[s.fence-1].op
}

// claims returns the claims whose fires are behind from, up to to.
func (s *fires) claims(from, to uint64) map[uint64]bool {
	found := make(map[uint64]bool)
	for _, m := range s.log[min(from, to):to] {
		if m.op == "" && !m.purged {
			found[m.fire.Claim] = true
		}
	}
	return found
}

// purge removes each fire with a chance of one in n, and returns the removed ones. Fences
// are never removed here: a missing fence is refused like one that is not the newest.
func (s *fires) purge(rng *rand.Rand, n int) map[uint64]bool {
	gone := make(map[uint64]bool)
	for i := range s.log {
		if m := &s.log[i]; m.op == "" && !m.purged && rng.IntN(n) == 0 {
			m.purged = true
			gone[uint64(i+1)] = true
		}
	}
	return gone
}
