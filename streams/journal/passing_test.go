package journal_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/journal"
)

// A start waits for errors that pass by themselves while a cluster comes up, and for no
// others.
func TestIsPassing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{&jetstream.APIError{Code: 503, ErrorCode: 10008, Description: "JetStream system temporarily unavailable"}, true},
		{&jetstream.APIError{Code: 400, ErrorCode: 10005, Description: "no suitable peers for placement, peer offline"}, true},
		{fmt.Errorf("couldn't set up stream FIRES: %w", context.DeadlineExceeded), true},
		{&jetstream.APIError{Code: 400, ErrorCode: 10058, Description: "stream name already in use with a different configuration"}, false},
		{fmt.Errorf("couldn't read the number of partitions: %w", jetstream.ErrKeyNotFound), true},
		{fmt.Errorf("couldn't set up stream FIRES: %w", jetstream.ErrStreamNotFound), true},
		{jetstream.ErrBucketNotFound, true},
		{errors.New("something else"), false},
	} {
		if got := journal.IsPassing(tt.err); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.err, got, tt.want)
		}
	}
}
