package fires

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// firesState is a state of FIRES.
type firesState struct {
	created           time.Time
	first, last, msgs uint64
	firstTime         time.Time
	fences            map[int]uint64 // the last fence of each partition, and the last probe; 0 if there is none
	probe             uint64         // the number of the last probe
	written           int64          // how many fences and probes were written since the last state
	unsure            bool           // more may have been written, by other nodes or without an answer
	cleared           int64          // how many fires were removed since to make room; see [roomMaker]
	bounded           bool           // FIRES has a max_bytes
}

// gaps is how many messages are missing between others: age alone leaves no gaps.
func (f firesState) gaps() uint64 { return f.last + 1 - f.first - f.msgs }

func stateOf(info *jetstream.StreamInfo) firesState {
	return firesState{
		created: info.Created, firstTime: info.State.FirstTime, fences: map[int]uint64{}, bounded: info.Config.MaxBytes > 0,
		first: info.State.FirstSeq, last: info.State.LastSeq, msgs: info.State.Msgs,
	}
}

// probeFence is the key of the last probe in fences. Probes replace each other as fences
// do.
const probeFence = -1

// sawProbe records the last probe. The numbers of the probes tell how many were written,
// whichever node wrote them. After a purge they start anew, further up than there can be
// messages; see streams/journal/probe.go.
func (f *firesState) sawProbe(before firesState, seq, number uint64) {
	f.fences[probeFence], f.probe = seq, number
	if seq == before.fences[probeFence] {
		return
	}
	came := f.last - before.last
	if number <= before.probe || number-before.probe > came { // they started anew, or somebody else wrote one
		f.unsure = true
		f.written += int64(min(1, came))
		return
	}
	f.written += int64(number - before.probe)
}

// standing counts the messages that are fences or the probe.
func (f firesState) standing() (n int64) {
	for _, seq := range f.fences {
		if seq != 0 {
			n++
		}
	}
	return n
}

// fires counts the messages that are neither.
func (f firesState) fires() int64 {
	return int64(f.msgs) - f.standing()
}

// came is how many fires were published between the two states.
func came(before, now firesState) int64 {
	return int64(now.last-before.last) - now.written
}

// newGaps reports whether more messages are missing between others than the fences and
// probes that were replaced.
func newGaps(before, now firesState) bool {
	replaced := before.standing() + now.written - now.standing()
	return int64(now.gaps()) > int64(before.gaps())+max(0, replaced)+now.cleared
}

// removedFires is how many fires are gone that were behind tooOld, or were published and
// removed since.
func removedFires(before, now firesState, tooOld uint64) int {
	aged := int64(0)
	if tooOld >= before.first {
		aged = int64(min(tooOld, before.last) - before.first + 1)
	}
	if now.unsure { // one more fence leaves a gap as a fire does
		if now.first <= before.last {
			return 0
		}
		return int(max(0, before.fires()-aged-now.cleared))
	}
	return int(max(0, before.fires()+came(before, now)-now.fires()-aged-now.cleared))
}

// ages records, once a minute, up to which sequence messages had arrived.
type ages struct {
	seen []agedAt
}

type agedAt struct {
	at   time.Time
	last uint64
}

func (a *ages) saw(at time.Time, last uint64) {
	if n := len(a.seen); n == 0 || at.Sub(a.seen[n-1].at) >= time.Minute {
		a.seen = append(a.seen, agedAt{at, last})
	}
}

// tooOld returns the highest sequence that may have gone by age: the messages that
// arrived before the given time, or up to two minutes after it.
func (a *ages) tooOld(before time.Time, state firesState) uint64 {
	before = before.Add(time.Minute)
	for len(a.seen) > 1 && a.seen[1].at.Before(before) {
		a.seen = a.seen[1:]
	}
	switch {
	case state.firstTime.After(before) || len(a.seen) == 0:
		return 0
	case len(a.seen) > 1 && a.seen[0].at.Before(before):
		return a.seen[1].last
	}
	return a.seen[0].last // all messages from before the first look
}
