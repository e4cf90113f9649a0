package deadletter_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"belfry/internal/job"
	"belfry/streams/deadletter"
)

func TestAdvisory(t *testing.T) {
	t.Parallel()
	const told = "refused by its subscriber"
	long := strings.Repeat("é", 1<<19)
	for _, tt := range []struct {
		data   string
		reason job.Reason // "" means that it is not an advisory about a fire
		detail string
	}{
		{`{"type":"io.nats.jetstream.advisory.v1.max_deliver","consumer":"db_r","stream_seq":7,"deliveries":5}`, job.ReasonUnacked, "delivered 5 times without an ack"},
		{`{"type":"io.nats.jetstream.advisory.v1.terminated","consumer":"db_r","stream_seq":7,"deliveries":1}`, job.ReasonTerminated, told},
		{`{"type":"io.nats.jetstream.advisory.v1.terminated","consumer":"db_r","stream_seq":7,"reason":"no such cart"}`, job.ReasonTerminated, told + ": no such cart"},
		{`{"type":".terminated","consumer":"db_r","stream_seq":7,"reason":"x` + long + `"}`, job.ReasonTerminated, told + ": x" + long[:1<<10-2] + "…"},
		{`{"type":".terminated","stream_seq":7}`, "", ""},
		{`{"type":".terminated","consumer":"db_r"}`, "", ""},
		{`{"consumer":"db_r","stream_seq":-1}`, "", ""},
		{`[]`, "", ""},
		{``, "", ""},
	} {
		consumer, seq, reason, detail, err := deadletter.Advisory([]byte(tt.data))
		if (err != nil) != (tt.reason == "") || reason != tt.reason || detail != tt.detail || err == nil && (consumer != "db_r" || seq != 7) {
			t.Errorf("%.120s: got %q, %d, %s, %.120q, %v; want %s, %.120q", tt.data, consumer, seq, reason, detail, err, tt.reason, tt.detail)
		}
	}
}

// A client that may publish on the subjects of advisories can say anything there.
func FuzzAdvisory(f *testing.F) {
	f.Add([]byte(`{"type":"io.nats.jetstream.advisory.v1.max_deliver","consumer":"db_r","stream_seq":7,"deliveries":5}`))
	f.Add([]byte(`{"type":"io.nats.jetstream.advisory.v1.terminated","consumer":"db_r","stream_seq":7,"reason":"no \u0000 \ud800 cart"}`))
	f.Add([]byte(`{"stream_seq":1e3}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		consumer, seq, reason, detail, err := deadletter.Advisory(data)
		if err != nil {
			return
		}
		if !json.Valid(data) || consumer == "" || seq == 0 {
			t.Errorf("%q is read as the message %d of %q", data, seq, consumer)
		}
		if reason != job.ReasonUnacked && reason != job.ReasonTerminated || len(detail) > 1100 || !utf8.ValidString(detail) {
			t.Errorf("%q is buried as %q, with %d bytes: %.200q", data, reason, len(detail), detail)
		}
	})
}
