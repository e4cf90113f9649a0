package proc_test

import (
	"testing"

	"belfry/internal/proc"
)

func TestParseLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text     string
		want     proc.Line
		alarming bool
	}{
		{
			`{"time":"2026-01-01T00:00:00Z","level":"INFO","msg":"belfry is listening","api":"http://127.0.0.1:1","nats":"nats://127.0.0.1:2"}`,
			proc.Line{Level: "INFO", Msg: proc.SaysListening, API: "http://127.0.0.1:1", NATS: "nats://127.0.0.1:2"}, false,
		},
		{
			`{"msg":"belfry is listening","nats":"nats://127.0.0.1:2"}`,
			proc.Line{Msg: proc.SaysListening, NATS: "nats://127.0.0.1:2"}, false,
		},
		{`gc {"level":"INFO","msg":"belfry is up"}`, proc.Line{Level: "INFO", Msg: "belfry is up"}, false},
		{`{"level":"WARN","msg":"slow disk"}`, proc.Line{Level: "WARN", Msg: "slow disk"}, true},
		{`{"level":"ERROR","msg":"no disk"}`, proc.Line{Level: "ERROR", Msg: "no disk"}, true},
		{`{"level":"INFO","msg":"belfry is listening","api":1}`, proc.Line{}, true},
		{"belfry is listening", proc.Line{}, true},
		{"panic: {", proc.Line{}, true},
		{"", proc.Line{}, true},
	} {
		tt.want.Text = tt.text
		got := proc.ParseLine(tt.text)
		if got != tt.want || got.Alarming() != tt.alarming {
			t.Errorf("ParseLine(%s): got %+v, alarming %t; want %+v, %t", tt.text, got, got.Alarming(), tt.want, tt.alarming)
		}
	}
}
