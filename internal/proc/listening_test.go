package proc_test

import (
	"testing"

	"belfry/internal/proc"
)

func TestListening(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line, api, nats string
		ok              bool
	}{
		{`{"time":"2026-01-01T00:00:00Z","level":"INFO","msg":"belfry is listening","api":"http://127.0.0.1:1","nats":"nats://127.0.0.1:2"}`,
			"http://127.0.0.1:1", "nats://127.0.0.1:2", true},
		{`{"msg":"belfry is listening","nats":"nats://127.0.0.1:2"}`, "", "nats://127.0.0.1:2", true},
		{`{"msg":"belfry is up","api":"http://127.0.0.1:1"}`, "", "", false},
		{`{"msg":"belfry is listening","api":1}`, "", "", false},
		{"belfry is listening", "", "", false},
		{"", "", "", false},
	} {
		api, nats, ok := proc.Listening([]byte(tt.line))
		if api != tt.api || nats != tt.nats || ok != tt.ok {
			t.Errorf("Listening(%s): got %q, %q, %t; want %q, %q, %t", tt.line, api, nats, ok, tt.api, tt.nats, tt.ok)
		}
	}
}
