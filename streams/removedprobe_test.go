package streams_test

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"belfry/internal/job"
	"belfry/streams"
)

// probes returns the number of the last probe of FIRES.
func (f *fixture) probes() int {
	f.t.Helper()
	s, err := f.js.Stream(f.t.Context(), streams.FiresStream)
	if err != nil {
		f.t.Fatal(err)
	}
	m, err := s.GetLastMsgForSubject(f.t.Context(), streams.ProbeSubject(streams.FiresStream))
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(m.Header.Get("Belfry-Probe"))
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

// lookedAt reports whether FIRES was checked since its last message.
func (f *fixture) lookedAt() bool { return f.SawFires(f.t.Context()) }

// triedAgain waits until FIRES was probed that many times more, and state is true.
func (f *fixture) triedAgain(times int, state func() bool) {
	f.t.Helper()
	seen := map[int]bool{f.probes(): true}
	eventually(f.t, "FIRES was tried", func() bool {
		seen[f.probes()] = true
		return len(seen) > times && state()
	})
}

// The probes of all nodes, which replace each other, do not count as removed fires. A
// purge among them is still logged with the number of fires.
func TestProbesAreNoRemovedFires(t *testing.T) {
	t.Parallel()
	log := &lines{}
	f := open(t, streams.Config{AuditEvery: soon, Log: log.Logger()})
	f.ProbeAfter(soon)
	f.run()
	other := &fixture{t: t, server: f.server}
	other.connect()
	other.reopen(streams.Config{AuditEvery: soon})
	other.ProbeAfter(soon)
	other.run()
	f.route("turns", job.NATS)
	f.fireAll(0, 4)
	f.triedAgain(10, f.lookedAt)
	if m := removedLine.FindString(log.String()); m != "" {
		t.Fatalf("nothing was removed, and the log says: %s", m)
	}
	f.purge()
	eventually(t, "the log says how many were removed", func() bool { return removedLine.FindString(log.String()) != "" })
	f.triedAgain(5, f.lookedAt)
	if told := removedLine.FindAllStringSubmatch(log.String(), -1); len(told) != 1 || told[0][1] != "4" {
		t.Errorf("four fires were purged, and the log says: %q", told)
	}
}

// A purge in the middle of a look, after the state was read and before the fences were,
// is still logged with the number of fires.
func TestPurgeInTheMidstOfALook(t *testing.T) {
	t.Parallel()
	log := &lines{}
	f := open(t, streams.Config{AuditEvery: soon, Log: log.Logger()})
	f.ProbeAfter(soon)
	var purge atomic.Bool
	f.InterceptReads(func(m *nats.Msg) *nats.Msg {
		if m.Subject == "$JS.API.STREAM.MSG.GET.FIRES" && strings.Contains(string(m.Data), `"fence.0"`) && purge.CompareAndSwap(true, false) {
			f.purge()
		}
		return nil
	})
	f.run()
	f.route("turns", job.NATS)
	f.fireAll(0, 4)
	f.triedAgain(1, f.lookedAt)
	purge.Store(true)
	eventually(t, "the log says how many were removed", func() bool { return removedLine.FindString(log.String()) != "" })
	f.triedAgain(3, f.lookedAt)
	if told := removedLine.FindAllStringSubmatch(log.String(), -1); len(told) != 1 || told[0][1] != "4" {
		t.Errorf("four fires were purged, and the log says: %q", told)
	}
}
