package journal_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/streams/journal"
)

// A stream that does not answer counts as silent after five seconds. From then on writes
// are refused at once, until a probe is answered.
func TestSilentStream(t *testing.T) {
	t.Parallel()
	h := journal.NewTestHealth()
	ended, err := h.Began()
	if err != nil {
		t.Fatal(err)
	}
	for range 6 { // half a second each
		h.Pass(500 * time.Millisecond)
		h.Look(true)
	}
	if amiss := h.Amiss(); amiss != "" {
		t.Errorf("after three seconds: %q", amiss)
	}
	for range 5 {
		h.Pass(500 * time.Millisecond)
		h.Look(true)
	}
	if amiss := h.Amiss(); !strings.Contains(amiss, "does not answer") {
		t.Errorf("after five seconds: %q", amiss)
	}
	if !h.Stuck() {
		t.Error("it is not stuck")
	}
	if _, err := h.Began(); !errors.Is(err, job.ErrUnavailable) {
		t.Errorf("another write: %v, want it refused", err)
	}
	ended(nats.ErrTimeout)
	h.ProbeEnded(nats.ErrTimeout)
	h.Pass(time.Second)
	if h.Look(true) != 1 {
		t.Error("it is not tried again")
	}
	if h.Amiss() == "" {
		t.Error("it is ready, and nothing was answered")
	}
	h.ProbeEnded(nil)
	if amiss := h.Amiss(); amiss != "" || h.Stuck() {
		t.Errorf("a probe was answered: %q, stuck %v", amiss, h.Stuck())
	}
	if _, err := h.Began(); err != nil {
		t.Errorf("a write: %v", err)
	}
}

// An election passes, conflicts say nothing, and a lost connection is no fault of a
// stream.
func TestWhatIsNoFaultOfAStream(t *testing.T) {
	t.Parallel()
	h := journal.NewTestHealth()
	write := func(err error) {
		t.Helper()
		ended, refused := h.Began()
		if refused != nil {
			t.Fatal(refused)
		}
		ended(err)
	}
	write(nats.ErrNoResponders)
	write(&jetstream.APIError{Code: 400, ErrorCode: jetstream.JSErrCodeStreamWrongLastSequence})
	write(nats.ErrMaxPayload)
	for _, code := range []jetstream.ErrorCode{10158, 10201} { // another copy is under way; the batch has a duplicate
		write(&jetstream.APIError{Code: 409, ErrorCode: code})
	}
	for _, code := range []jetstream.ErrorCode{10163, 10210} { // a new leader cannot compare yet, too many batches
		write(&jetstream.APIError{Code: 503, ErrorCode: code})
	}
	h.Pass(5 * time.Second) // the others wait four seconds for a dead leader
	write(nats.ErrNoResponders)
	if amiss := h.Amiss(); amiss != "" {
		t.Errorf("after an election of a moment: %q", amiss)
	}
	write(nil)
	if _, err := h.Began(); err != nil {
		t.Fatal(err)
	}
	for range 60 {
		h.Pass(time.Second)
		if h.Look(false) != 0 {
			t.Fatal("a probe without a connection")
		}
	}
	if amiss := h.Amiss(); amiss != "" {
		t.Errorf("after a minute without a connection: %q", amiss)
	}
	h.Pass(500 * time.Millisecond)
	write(nats.ErrNoResponders)
	h.Pass(7 * time.Second)
	write(nats.ErrNoResponders)
	if amiss := h.Amiss(); !strings.Contains(amiss, "nobody takes them") {
		t.Errorf("after seven seconds without a leader: %q", amiss)
	}
}

// A stream that others made silent and that was mended is probed at once. Earlier
// failures do not make it stuck.
func TestSilentStreamThatIsMended(t *testing.T) {
	t.Parallel()
	h := journal.NewTestHealth()
	if _, err := h.Began(); err != nil {
		t.Fatal(err)
	}
	for range 90 { // long enough to be probed seldom
		h.Pass(time.Second)
		h.Look(true)
	}
	if !h.Stuck() || h.StuckFor() < time.Minute {
		t.Fatal("it is not stuck")
	}
	h.Pass(300 * time.Millisecond)
	if h.Look(true) != 0 {
		t.Fatal("it is tried again already; this test needs one that is tried seldom")
	}
	h.Changed()
	if n := h.Look(true); n != 1 || h.StuckFor() != 0 {
		t.Errorf("it is mended; %d probes, want 1, and stuck for %v", n, h.StuckFor())
	}
	h.Hurry() // the disk accepts writes again
	if n := h.Look(true); n != 1 {
		t.Errorf("%d probes in a hurry, want 1", n)
	}
	h.Pass(9 * time.Second)
	if h.StuckFor() != 9*time.Second {
		t.Errorf("none is answered for 9 s, and it is stuck for %v", h.StuckFor())
	}
	h.ProbeEnded(nil)
	if h.Stuck() || h.Amiss() != "" {
		t.Error("a probe was answered, and it is stuck")
	}
}

// OnBetter is called at the first answer of a silent stream, even if it is a refusal.
func TestAnswersOfASilentStreamAreTold(t *testing.T) {
	for _, answer := range []error{nil, &jetstream.APIError{Code: 503, ErrorCode: 10077}} {
		h, told := journal.NewTestHealth(), 0
		h.OnBetter(func() { told++ })
		ended, err := h.Began()
		if err != nil {
			t.Fatal(err)
		}
		for range 10 { // neither writes nor probes are answered
			h.Pass(time.Second)
			h.Look(true)
		}
		if _, err := h.Began(); err == nil || told != 0 {
			t.Fatalf("the stream is not silent, and that was told %d times", told)
		}
		ended(answer)
		again, err := h.Began()
		if err == nil {
			again(answer)
		}
		if err != nil || told != 1 {
			t.Errorf("after the answer %v a write is refused with %v, and it was told %d times, want once", answer, err, told)
		}
	}
}

// A write that replaces one of the same size needs no room: a full bucket that accepts it
// is still full, until a probe that needs room is stored. In a stream each write needs
// room.
func TestFullBucketTakesWhatReplaces(t *testing.T) {
	t.Parallel()
	full := &jetstream.APIError{Code: 503, ErrorCode: 10077, Description: "maximum bytes exceeded"}
	h := journal.NewTestHealthOf("KV_belfry")
	h.Write(76, full) // a new key
	for range 3 {
		h.Pass(time.Second)
		h.Write(113, nil) // a lease
		if h.Amiss() == "" {
			t.Fatal("a write took the place of another, and the full bucket counts as one that works")
		}
		h.Probe(76, full)
	}
	h.Probe(76, nil)
	if amiss := h.Amiss(); amiss != "" {
		t.Errorf("there is room again, and: %q", amiss)
	}
	h = journal.NewTestHealthOf("FIRES")
	h.Write(76, full)
	h.Write(113, nil)
	if amiss := h.Amiss(); amiss != "" {
		t.Errorf("a stream has room again, and: %q", amiss)
	}
}
