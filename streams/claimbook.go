package streams

import (
	"sync"

	"belfry/internal/job"
)

// claimBook knows the claims that stand, as of the tail, for those who are not
// the timer's loop: it answers workers as well as a replica would, without the
// read, which would wait for whatever batch is being committed. It is safe for
// concurrent use.
type claimBook struct {
	mu     sync.RWMutex // guards claims
	claims map[uint64]standingClaim
}

type standingClaim struct {
	fireID   string
	due      int64
	replaces job.Position
	reason   job.Reason // of the last try
	detail   string
}

func newClaimBook() *claimBook { return &claimBook{claims: map[uint64]standingClaim{}} }

func (b *claimBook) add(r job.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.claims[r.Revision] = standingClaim{fireID: r.FireID, due: r.Due, replaces: r.Replaces, reason: r.Reason, detail: r.Detail}
}

func (b *claimBook) drop(revision uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.claims, revision)
}

// record returns the record of a fire's claim, as far as a worker judges by it.
func (b *claimBook) record(f job.Fire) (job.Record, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	c, ok := b.claims[f.Claim]
	return job.Record{
		Job:    job.Job{Key: f.Key, Route: f.Route, Trigger: f.Trigger, Meta: f.Meta},
		Status: job.Firing, Due: c.due, FireID: c.fireID, Attempt: f.Attempt, Revision: f.Claim,
		Replaces: c.replaces, Reason: c.reason, Detail: c.detail,
	}, ok && c.fireID == f.ID
}
