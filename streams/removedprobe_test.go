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

// probes returns the number of the last try of FIRES.
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

// lookedAt reports whether FIRES was looked at since its last message.
func (f *fixture) lookedAt() bool { return f.SawFires(f.t.Context()) }

// triedAgain waits until FIRES was tried some times more, and is in a state.
func (f *fixture) triedAgain(times int, state func() bool) {
	f.t.Helper()
	seen := map[int]bool{f.probes(): true}
	eventually(f.t, "FIRES was tried", func() bool {
		seen[f.probes()] = true
		return len(seen) > times && state()
	})
}

// The probes of all nodes, which replace each other, are no removed fires. A purge
// among them is told with the number of fires all the same.
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

// A purge in the midst of a look, when the state was read and the fences were not,
// is told with the number of fires all the same.
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

// The state of FIRES counts no probe as a fire.
func TestRemovedFiresBesideProbes(t *testing.T) {
	t.Parallel()
	type state = streams.FiresState
	for name, tt := range map[string]struct {
		before, now state
		want        int
		gaps        bool
	}{
		"a first probe":           {state{First: 1, Last: 10, Msgs: 10}, state{First: 1, Last: 11, Msgs: 11, Probe: 11, Number: 1}, 0, false},
		"a probe after another":   {state{First: 1, Last: 10, Msgs: 10, Probe: 5, Number: 7}, state{First: 1, Last: 11, Msgs: 10, Probe: 11, Number: 8}, 0, false},
		"none since":              {state{First: 1, Last: 10, Msgs: 10, Probe: 5, Number: 7}, state{First: 1, Last: 12, Msgs: 12, Probe: 5, Number: 7}, 0, false},
		"those of many nodes":     {state{First: 1, Last: 10, Msgs: 10, Probe: 5, Number: 7}, state{First: 1, Last: 16, Msgs: 12, Probe: 16, Number: 11}, 0, false},
		"and a fence":             {state{First: 1, Last: 10, Msgs: 10, Fence: 4, Probe: 5, Number: 7}, state{First: 1, Last: 13, Msgs: 10, Fence: 12, Written: 1, Probe: 13, Number: 9}, 0, false},
		"and a fire is gone":      {state{First: 1, Last: 10, Msgs: 10, Probe: 5, Number: 7}, state{First: 1, Last: 11, Msgs: 9, Probe: 11, Number: 8}, 1, true},
		"a purge of all":          {state{First: 1, Last: 10, Msgs: 10, Probe: 5, Number: 7}, state{First: 11, Last: 10}, 9, false},
		"a purge, and then":       {state{First: 1, Last: 10, Msgs: 10, Probe: 5, Number: 7}, state{First: 12, Last: 12, Msgs: 1, Probe: 12, Number: 2}, 9, false},
		"a purge, and a fire":     {state{First: 1, Last: 10, Msgs: 10, Probe: 5, Number: 7}, state{First: 13, Last: 14, Msgs: 2, Probe: 14, Number: 1 << 60}, 9, false},
		"a purge of the probe":    {state{First: 1, Last: 10, Msgs: 10, Probe: 5, Number: 7}, state{First: 1, Last: 11, Msgs: 10, Probe: 11, Number: 1}, 0, false},
		"a number of other hands": {state{First: 1, Last: 10, Msgs: 10, Probe: 5, Number: 7}, state{First: 1, Last: 11, Msgs: 10, Probe: 11, Number: 1 << 63}, 0, false},
	} {
		if got := streams.RemovedFires(tt.before, tt.now, 0); got != tt.want {
			t.Errorf("%s: %d fires, want %d", name, got, tt.want)
		}
		if got := streams.NewGaps(tt.before, tt.now); got != tt.gaps {
			t.Errorf("%s: new gaps %v, want %v", name, got, tt.gaps)
		}
	}
}
