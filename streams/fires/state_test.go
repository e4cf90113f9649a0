package fires_test

import (
	"testing"
	"time"

	"belfry/streams/fires"
)

// Age, new fences and the ends of jobs do not count as a purge.
func TestRemovedFires(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before, now fires.FiresState
		tooOld      uint64
		want        int
	}{
		"nothing":               {fires.FiresState{First: 1, Last: 10, Msgs: 10}, fires.FiresState{First: 1, Last: 12, Msgs: 12}, 0, 0},
		"a new fence":           {fires.FiresState{First: 1, Last: 10, Msgs: 10, Fence: 4}, fires.FiresState{First: 1, Last: 11, Msgs: 10, Fence: 11, Written: 1}, 0, 0},
		"two fences":            {fires.FiresState{First: 1, Last: 10, Msgs: 10, Fence: 4}, fires.FiresState{First: 1, Last: 12, Msgs: 10, Fence: 12, Written: 2}, 0, 0},
		"a first fence":         {fires.FiresState{First: 1, Last: 10, Msgs: 10}, fires.FiresState{First: 1, Last: 11, Msgs: 11, Fence: 11, Written: 1}, 0, 0},
		"a purge of all":        {fires.FiresState{First: 1, Last: 10, Msgs: 10, Fence: 4}, fires.FiresState{First: 11, Last: 10}, 0, 9},
		"fences of other nodes": {fires.FiresState{First: 1, Last: 10, Msgs: 10, Fence: 4}, fires.FiresState{First: 1, Last: 20, Msgs: 17, Fence: 18, Written: 1, Unsure: true}, 0, 0},
		"a purge of all, and fences of other nodes": {fires.FiresState{First: 1, Last: 10, Msgs: 10, Fence: 4}, fires.FiresState{First: 13, Last: 13, Msgs: 1, Fence: 13, Written: 1, Unsure: true}, 0, 9},
		"a purge and a fence":                       {fires.FiresState{First: 1, Last: 10, Msgs: 10, Fence: 4}, fires.FiresState{First: 11, Last: 11, Msgs: 1, Fence: 11, Written: 1}, 0, 9},
		"without a fence, and then":                 {fires.FiresState{First: 1, Last: 10, Msgs: 10}, fires.FiresState{First: 1, Last: 11, Msgs: 6, Fence: 11, Written: 1}, 0, 5},
		"a purge of a route":                        {fires.FiresState{First: 1, Last: 10, Msgs: 10, Fence: 4}, fires.FiresState{First: 1, Last: 13, Msgs: 8, Fence: 4}, 0, 5},
		"a purge of the fence":                      {fires.FiresState{First: 1, Last: 10, Msgs: 10, Fence: 4}, fires.FiresState{First: 1, Last: 10, Msgs: 9}, 0, 0},
		"old age":                                   {fires.FiresState{First: 1, Last: 10, Msgs: 10, Fence: 9}, fires.FiresState{First: 6, Last: 10, Msgs: 5, Fence: 9}, 5, 0},
		"some old, some purged":                     {fires.FiresState{First: 1, Last: 10, Msgs: 10, Fence: 9}, fires.FiresState{First: 6, Last: 10, Msgs: 2, Fence: 9}, 5, 3},
		"all old, and none left":                    {fires.FiresState{First: 5, Last: 10, Msgs: 6}, fires.FiresState{First: 11, Last: 10}, 20, 0},
	} {
		if got := fires.RemovedFires(tt.before, tt.now, tt.tooOld); got != tt.want {
			t.Errorf("%s: %d fires, want %d", name, got, tt.want)
		}
	}
}

// The messages that may be too old are those that had arrived by then, and one minute's
// more.
func TestTooOld(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_000_000, 0)
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	seen := map[int]uint64{}
	for m := range 100 {
		seen[m] = uint64(100 + 10*m)
	}
	for _, tt := range []struct {
		before    int // minutes
		firstTime int
		want      uint64
	}{
		{-10, 0, 0},     // the first existing message came later
		{-10, -20, 100}, // perhaps everything from before the first look
		{50, -20, 100 + 10*51},
		{50, 60, 0},
	} {
		if got := fires.TooOld(start, seen, at(tt.before), at(tt.firstTime)); got != tt.want {
			t.Errorf("before minute %d, the first of minute %d: up to %d, want %d", tt.before, tt.firstTime, got, tt.want)
		}
	}
}

// The state of FIRES counts no probe as a fire.
func TestRemovedFiresBesideProbes(t *testing.T) {
	t.Parallel()
	type state = fires.FiresState
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
		if got := fires.RemovedFires(tt.before, tt.now, 0); got != tt.want {
			t.Errorf("%s: %d fires, want %d", name, got, tt.want)
		}
		if got := fires.NewGaps(tt.before, tt.now); got != tt.gaps {
			t.Errorf("%s: new gaps %v, want %v", name, got, tt.gaps)
		}
	}
}
