package journal

import (
	"context"
	"iter"

	"github.com/nats-io/nats.go/jetstream"
)

// MessagesOf yields the messages of a consumer as they come. It ends with the first error
// that it yields, or when ctx ends.
func MessagesOf(ctx context.Context, c jetstream.Consumer, opts ...jetstream.PullMessagesOpt) iter.Seq2[jetstream.Msg, error] {
	return func(yield func(jetstream.Msg, error) bool) {
		messages, err := c.Messages(opts...)
		if err != nil {
			yield(nil, err)
			return
		}
		defer messages.Stop()
		stop := context.AfterFunc(ctx, messages.Stop)
		defer stop()
		// While the consumer is being recreated, Stop reaches only the old one.
		untilEnd := jetstream.NextContext(ctx)
		for {
			m, err := messages.Next(untilEnd)
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}
