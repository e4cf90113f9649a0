package fires

import "time"

// FiresState is a state of FIRES, with one partition.
type FiresState struct {
	First, Last, Msgs, Fence uint64
	Written                  int64 // fences
	Unsure                   bool
	Probe, Number            uint64 // the last probe's sequence, and its number
}

func (f FiresState) state() firesState {
	return firesState{first: f.First, last: f.Last, msgs: f.Msgs, written: f.Written, unsure: f.Unsure, fences: map[int]uint64{0: f.Fence}}
}

func firesStates(b, n FiresState) (before, now firesState) {
	before, now = b.state(), n.state()
	before.sawProbe(before, b.Probe, b.Number)
	now.sawProbe(before, n.Probe, n.Number)
	return before, now
}

// RemovedFires is how many fires were removed too early.
func RemovedFires(before, now FiresState, tooOld uint64) int {
	b, n := firesStates(before, now)
	return removedFires(b, n, tooOld)
}

// NewGaps reports whether messages are gone between others.
func NewGaps(before, now FiresState) bool { return newGaps(firesStates(before, now)) }

// TooOld returns the highest sequence that may have gone by age, given looks at minutes
// since start.
func TooOld(start time.Time, seen map[int]uint64, before, firstTime time.Time) uint64 {
	var a ages
	for m := range len(seen) {
		a.saw(start.Add(time.Duration(m)*time.Minute), seen[m])
	}
	return a.tooOld(before, firesState{firstTime: firstTime})
}
