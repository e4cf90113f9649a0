package journal

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
)

// ConfirmLeader makes sure that the stream's leader may still be the leader: one that was
// cut off goes on answering from what it knew. It is the leader as long as most of the
// group has been in touch with it lately, since the others wait longer than that before
// they elect another. It may not be the server that answered before, so the caller asks
// the leader again afterwards.
func ConfirmLeader(ctx context.Context, js jetstream.JetStream, name string) error {
	ctx, cancel := context.WithTimeout(ctx, AnswerWait)
	defer cancel()
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("%w: couldn't look at the group of %s: %v", job.ErrUnavailable, name, err)
	}
	group := stream.CachedInfo().Cluster
	if !HasQuorum(group) {
		return fmt.Errorf("%w: the leader of %s is cut off from the others", job.ErrUnavailable, name)
	}
	if group != nil && len(group.Replicas) > 0 && !Sleep(ctx, wakingUp) {
		return fmt.Errorf("%w: %v", job.ErrUnavailable, ctx.Err())
	}
	return nil
}

// wakingUp is how long a server that was asleep may take itself for the leader before it
// has read what the others sent meanwhile.
const wakingUp = 100 * time.Millisecond

// inTouch is how recently a leader must have heard from a replica to count it. A replica
// reports once a second, and waits four seconds before it runs for leader.
const inTouch = 2 * time.Second

// HasQuorum reports whether the leader that answered has heard from most of its group
// lately. group is nil for a stream in no cluster.
func HasQuorum(group *jetstream.ClusterInfo) bool {
	if group == nil || len(group.Replicas) == 0 {
		return true // the only replica
	}
	there := 1 // the leader itself
	for _, r := range group.Replicas {
		if !r.Offline && r.Active < inTouch {
			there++
		}
	}
	return there > (len(group.Replicas)+1)/2
}
