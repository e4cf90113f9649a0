package journal

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
)

// A status of the server ends a pull or does not. In a cluster the status that everything
// was sent arrives before the messages.
func TestPullStatus(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status, words string
		over          bool
		err           error // nil is any error, or none if the pull goes on
	}{
		{"100", "Idle Heartbeat", false, nil},
		{"404", "No Messages", true, nil},
		{"408", "Request Timeout", true, nil},
		{"409", "Batch Completed", false, nil},
		{"409", "Message Size Exceeds MaxBytes", true, ErrMaxBytes},
		{"409", "Consumer Deleted", true, nil},
		{"503", "", true, ErrNoConsumer},
	} {
		over, err := PullStatus(&nats.Msg{Header: nats.Header{"Status": {tt.status}, "Description": {tt.words}}})
		if over != tt.over || tt.err != nil && !errors.Is(err, tt.err) || !over && err != nil {
			t.Errorf("%s %s: over %v, %v; want %v, %v", tt.status, tt.words, over, err, tt.over, tt.err)
		}
	}
}
