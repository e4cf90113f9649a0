package streams_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams"
)

// All streams together are created within --max-bytes. Streams that would otherwise drop
// unread messages refuse new ones, even if an operator has set the limit.
func TestMaxBytesDropNothing(t *testing.T) {
	t.Parallel()
	const most = 1 << 30
	f := open(t, streams.Config{MaxBytes: most, Partitions: 2, AuditEvery: soon})
	js, err := jetstream.New(f.server.Connect())
	if err != nil {
		t.Fatal(err)
	}
	var all int64
	lister := js.ListStreams(t.Context())
	for info := range lister.Info() {
		cfg := info.Config
		all += cfg.MaxBytes
		if cfg.MaxBytes <= 0 {
			t.Errorf("%s has no max_bytes", cfg.Name)
		}
		if drops := cfg.Name == "ATTEMPTS" || cfg.Name == "ADVISORIES"; drops != (cfg.Discard == jetstream.DiscardOld) {
			t.Errorf("%s that is full has discard %v", cfg.Name, cfg.Discard)
		}
	}
	if err := lister.Err(); err != nil || all > most || all < most*9/10 {
		t.Errorf("all streams have %d of %d bytes (%v)", all, most, err)
	}
}
