package timer

import (
	"time"

	"belfry/internal/job"
)

// While the jobs stream of a partition is silent, each claim is refused at once, before
// it is sent. So the timer leaves its due jobs where they are: loading and claiming all
// of them again and again would only cost time, and memory for each that is postponed. A
// stream that answers with refusals costs the same, so the timer then tries a few claims
// a second.

// FewClaims is how many claims are tried per second while the stream refuses them.
const FewClaims = 16

// stalled reports whether no claim of the partition can be written.
func (t *Timer) stalled() bool {
	return t.health.Refused(t.w.Names.JobsStream(t.partition)) != nil
}

// room is how many more fires may begin. few says that the number is for a second.
func (t *Timer) room() (n int, few bool) {
	n = maxFiring - int(t.firing.Load())
	if !t.health.Refuses(t.w.Names.JobsStream(t.partition)) {
		return n, false
	}
	if since := t.now().Sub(t.triedFew); since >= 0 && since < time.Second {
		return 0, true
	}
	return min(n, FewClaims), true
}

// toFire returns the records that the queue wants to fire now.
func (t *Timer) toFire() []job.Record {
	n, few := t.room()
	due := t.queue.ToFire(t.now(), n)
	if few && len(due) > 0 {
		t.triedFew = t.now()
	}
	return due
}

// mayFireMore reports whether more fires may begin now.
func (t *Timer) mayFireMore() bool {
	n, _ := t.room()
	return n > 0
}
