package timer

import (
	"context"
	"time"

	"belfry/internal/loglimit"
	"belfry/streams/journal"
)

// leaderState is the state of the jobs bucket as its leader reports it.
type leaderState struct {
	created time.Time // when the bucket was created
	first   uint64    // the first message, or the next one's sequence if there is none
	last    uint64    // the last sequence that was assigned
	present uint64    // the last existing message; later ones expired
}

// checkEvery is how often the tail is compared with the leader.
const checkEvery = time.Second

// askState asks the leader for the state of the jobs bucket, again and again, until ctx
// ends. A request that cannot be sent now is sent a moment later.
func (t *Timer) askState(ctx context.Context) {
	for journal.Sleep(ctx, checkEvery) {
		if !t.w.NC.IsConnected() {
			continue
		}
		added := t.spare.Pending()
		ask, cancel := context.WithTimeout(ctx, journal.AnswerWait)
		stream, err := t.js.Stream(ask, t.w.Names.JobsStream(t.partition))
		cancel()
		if err != nil {
			continue
		}
		present, _, err := t.w.LastOnLeader(ctx, t.w.Names.JobsStream(t.partition), ">")
		if err != nil {
			continue
		}
		info := stream.CachedInfo()
		if !journal.HasQuorum(info.Cluster) {
			continue
		}
		t.spare.Look(info, added)
		now := leaderState{created: info.Created, first: info.State.FirstSeq, last: info.State.LastSeq, present: present.Seq}
		t.post(ctx, func(ctx context.Context) { t.compare(ctx, now) })
	}
}

// CaughtUp returns when the tail last had all that the leader had a moment before.
func (t *Timer) CaughtUp() time.Time { return time.UnixMilli(t.caughtUp.Load()) }

// compare checks the tail against the leader. A tail that is behind the leader and has
// not moved since the last check is restarted. A tail that was ahead of the leader in
// both checks, or belongs to another stream, follows a stream that no longer exists: then
// nothing known holds, and everything is read again. Being ahead once may come from a
// server that has just woken up.
func (t *Timer) compare(ctx context.Context, now leaderState) {
	before, seenBefore := t.state, t.checked
	t.state, t.checked = now, t.seen
	if now.created.Equal(before.created) && t.seen >= before.present {
		t.caughtUp.Store(time.Now().UnixMilli())
	}
	switch {
	case before.created.IsZero():
	case !now.created.Equal(before.created), t.seen > before.last && t.seen > now.last && t.seen == seenBefore:
		t.log.Error("the jobs bucket was replaced; it is read anew", "partition", t.partition)
		t.newQueue()
		t.seen, t.checked = 0, 0
		t.follow(ctx)
		t.doubt(ctx, "the jobs bucket was replaced")
	case t.tenure.fence > 0 && t.seen >= now.present && now.first > t.tenure.mark && now.first > t.bucketFirst:
		t.purged(ctx, now.first)
	case t.seen < before.present && t.seen == seenBefore:
		loglimit.Warn(t.log, "the tail of the jobs bucket stands still; it is made anew", "partition", t.partition, "at", t.seen, "leader", now.present)
		t.follow(ctx)
	}
}

// purged handles the loss of our mark from the jobs bucket. The mark stays until there is
// a newer one, so the bucket was purged, and the jobs before first are gone, too.
func (t *Timer) purged(ctx context.Context, first uint64) {
	t.bucketFirst = first
	if lost := t.queue.Before(first); lost > 0 {
		t.log.Error("the jobs bucket was purged by other hands; the jobs in it are lost", "partition", t.partition, "jobs", lost)
		t.newQueue()
		t.seen, t.checked = 0, 0
		t.follow(ctx)
	}
	t.doubt(ctx, "the mark is gone from the jobs bucket")
}

// follow starts a tail behind the last message seen and stops the one before.
func (t *Timer) follow(ctx context.Context) {
	if t.stopTail != nil {
		t.stopTail()
	}
	ctx, t.stopTail = context.WithCancel(ctx)
	out := make(chan tailed, 4096)
	t.tailed = out
	last := t.seen
	t.start(func(context.Context) { t.tail(ctx, last, out) })
}
