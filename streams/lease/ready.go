package lease

import (
	"fmt"
	"time"

	"belfry/internal/job"
	"belfry/streams/timer"
	"belfry/streams/wire"
)

// Ready reports whether this node fires all partitions that it is to fire. Otherwise it
// names the first partition that is not fired, and why.
func (l *Leases) Ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.held) == 0 && l.others() == 0 {
		return fmt.Errorf("%w: no partition is owned yet; partition 0: %s", job.ErrUnavailable, l.whyUnleased(0))
	}
	first, more := -1, 0
	for p, part := range l.partitions {
		switch {
		case !l.held[p] || part.Owns():
		case first < 0:
			first = p
		default:
			more++
		}
	}
	switch {
	case first < 0:
		return nil
	case more > 0:
		return fmt.Errorf("%w: the timer of partition %d is not at work yet, nor are %d others: %s", job.ErrUnavailable, first, more, l.partitions[first].Idle())
	}
	return fmt.Errorf("%w: the timer of partition %d is not at work yet: %s", job.ErrUnavailable, first, l.partitions[first].Idle())
}

// whyUnleased says why a partition is not ours while no other node is alive. The caller
// holds l.mu.
func (l *Leases) whyUnleased(p int) string {
	key := wire.LeaseKey(p)
	s, seen := l.seen[key]
	switch ago := time.Since(s.at); {
	case l.partitions[p].Replaced():
		return timer.Replaced.Say("")
	case seen && s.node != "" && s.node != l.node && ago < leaseExpiry:
		return timer.LeaseOfAnother.Say(fmt.Sprintf("last written %v ago", ago.Round(100*time.Millisecond)))
	case l.failed[p] != nil:
		return timer.LeaseUnwritten.SayWhy(l.failed[p])
	}
	return timer.LeaseUnseen.Say("")
}

// tried records the answer to a write of a lease.
func (l *Leases) tried(key string, err error) {
	p, is := wire.ParseLeaseKey(key, len(l.partitions))
	if !is {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed[p] = err
}
