package streams_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/streams"
	"belfry/streams/manifest"
)

// countedLedger keeps the manifest in memory and counts how often it is written.
type countedLedger struct {
	mu       sync.Mutex // guards what follows
	text     []byte
	revision uint64
}

func (l *countedLedger) Read(context.Context) ([]byte, uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text, l.revision, nil
}

func (l *countedLedger) Write(_ context.Context, text []byte, revision uint64) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if revision != l.revision {
		return 0, manifest.ErrChanged
	}
	l.text, l.revision = text, l.revision+1
	return l.revision, nil
}

func (l *countedLedger) writes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int(l.revision)
}

// A process that gets no writes leaves the manifest alone, though it probes its streams.
// Writes to the streams are recorded.
func TestIdleProcessLeavesTheManifestAlone(t *testing.T) {
	t.Parallel()
	ledger := &countedLedger{}
	f := open(t, streams.Config{Ledger: ledger, KeepEvery: 20 * time.Millisecond})
	f.ProbeAfter(50 * time.Millisecond)
	f.run()
	f.route("r", job.NATS)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = f.Keep(ctx) }()
	defer func() { stop(); <-ended }()
	anyState := func() bool { return true }
	f.triedAgain(4, anyState)
	before := ledger.writes()
	f.triedAgain(12, anyState)
	if n := ledger.writes() - before; n > 3 { // a probe whose answer comes after the look counts
		t.Errorf("the manifest was written %d times, and nothing but probes was", n)
	}
	before = ledger.writes()
	f.create(newJob("a", "r", time.Now().Add(time.Hour)))
	eventually(t, "the job is noted", func() bool { return ledger.writes() > before })
}
