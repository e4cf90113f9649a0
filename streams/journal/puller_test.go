package journal

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
)

// The server's words about a pull end it or not. In a cluster those that all was sent
// come before the messages do.
func TestPullStatus(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status, words string
		over          bool
		err           error // nil is any, or none if it goes on
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
