package streams

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/journal"
	"belfry/streams/timer"
	"belfry/streams/wire"
)

// Fires can be removed from FIRES before they are delivered: by a purge, by the
// deletion of a message, by a limit. Each node compares the state of FIRES every
// few seconds. When messages are gone that were not too old, the owners look for
// the fires of the claims that stand. For those that are missing they begin the
// routine for doubt, which publishes them again under a new fence.

// firesEvery is how often FIRES is looked at.
const firesEvery = 5 * time.Second

// firesState is what was seen of FIRES.
type firesState struct {
	created           time.Time
	first, last, msgs uint64
	firstTime         time.Time
	fences            map[int]uint64 // the last fence of each partition, and the last probe; 0 if there is none
	probe             uint64         // the number of that probe
	written           int64          // how many fences and probes were written since the state before
	unsure            bool           // perhaps more were, by other nodes or without an answer
	cleared           int64          // how many fires were removed since to make room; see [roomMaker]
	bounded           bool           // it has a max_bytes
}

// gaps is how many messages are gone between others: age alone leaves none.
func (f firesState) gaps() uint64 { return f.last + 1 - f.first - f.msgs }

// watch looks at FIRES again and again, until ctx ends.
func (s *firesWatch) watch(ctx context.Context) {
	var before firesState
	var ages ages
	var looked time.Time // when look was last set
	pending := false     // messages are gone since
	owned := false       // we owned the first partition then: another node may have made room
	for pause := time.Duration(0); journal.Sleep(ctx, pause); pause = s.cfg.Every {
		if !s.w.NC.IsConnected() {
			continue
		}
		var now firesState
		err := s.room.between(func() (err error) {
			now, err = s.look(ctx, before)
			return err
		}, &now)
		if err != nil {
			continue // the audit and /readyz say so
		}
		at := s.cfg.Now()
		gone := timer.Removal{First: now.first}
		switch {
		case before.created.IsZero():
			gone.Look = true
		case !now.created.Equal(before.created):
			gone.First = math.MaxUint64
		default:
			removed := removedFires(before, now, ages.tooOld(at.Add(-s.cfg.MaxAge), before))
			pending = pending || before.fires()+came(before, now) != now.fires()+now.cleared
			gone.Look = removed > 0 || newGaps(before, now) || pending && at.Sub(looked) >= time.Minute
			if removed > 0 && s.timers[0].Owns() && (owned || !now.bounded) {
				s.cfg.Metrics.FiresRemoved(removed)
				s.cfg.Log.Error("fires were removed from FIRES before their time, by a purge or a limit; those that no subscriber had yet are lost",
					"fires", removed, "first", now.first, "last", now.last)
			}
		}
		owned = s.timers[0].Owns()
		ages.saw(at, now.last)
		before = now
		s.last.Store(now.last)
		if gone.Look {
			looked, pending = at, false
		}
		for _, t := range s.timers {
			t.LookForFires(ctx, gone)
		}
	}
}

func (s *firesWatch) look(ctx context.Context, before firesState) (firesState, error) {
	ctx, cancel := context.WithTimeout(ctx, journal.AnswerWait)
	defer cancel()
	stream, err := s.js.Stream(ctx, s.w.Names.FiresStream())
	if err != nil {
		return firesState{}, err
	}
	info := stream.CachedInfo()
	if !journal.HasQuorum(info.Cluster) {
		return firesState{}, errors.New("its leader is not in touch with the others")
	}
	now := stateOf(info)
	for p := range s.timers {
		m, err := s.standsInFires(ctx, now, s.w.Names.FenceSubject(p))
		if err != nil {
			return now, err
		}
		now.fences[p] = m.Seq
	}
	probe, err := s.standsInFires(ctx, now, s.w.Names.ProbeSubject(s.w.Names.FiresStream()))
	if err != nil {
		return now, err
	}
	number, _ := strconv.ParseUint(probe.Header.Get(wire.HeaderProbe), 10, 64)
	now.sawProbe(before, probe.Seq, number)
	if now.standing() < int64(len(s.timers))+1 {
		// A fence that is missing may have been purged after the state was read, which
		// counts it.
		if info, err = stream.Info(ctx); err != nil {
			return now, err
		}
		if again := stateOf(info); again.first != now.first || again.gaps() != now.gaps() {
			return now, errFiresChange
		}
	}
	for p := range s.timers {
		written, lost := s.timers[p].FencesBetween(before.last, now.last)
		if now.fences[p] > before.last { // perhaps another node's
			now.unsure = now.unsure || written == 0 || s.others()
			written = max(written, 1)
		}
		now.unsure = now.unsure || lost
		now.written += int64(written)
	}
	return now, nil
}

// errFiresChange: what was read of FIRES does not belong together. It does the next
// time.
var errFiresChange = errors.New("it has changed meanwhile")

func stateOf(info *jetstream.StreamInfo) firesState {
	return firesState{
		created: info.Created, firstTime: info.State.FirstTime, fences: map[int]uint64{}, bounded: info.Config.MaxBytes > 0,
		first: info.State.FirstSeq, last: info.State.LastSeq, msgs: info.State.Msgs,
	}
}

// standsInFires returns the last message on a subject, which the state counts.
func (s *firesWatch) standsInFires(ctx context.Context, state firesState, subject string) (journal.Stored, error) {
	m, _, err := s.w.LastOnLeader(ctx, s.w.Names.FiresStream(), subject)
	if err == nil && m.Seq > state.last {
		err = errFiresChange
	}
	return m, err
}

// probeFence is where the last probe stands among the fences, which each replace the
// one before, too.
const probeFence = -1

// sawProbe takes in the last probe. Their numbers tell how many there were, whichever
// node wrote them. After a purge they begin anew, further up than that many messages;
// see streams/journal/probe.go.
func (f *firesState) sawProbe(before firesState, seq, number uint64) {
	f.fences[probeFence], f.probe = seq, number
	if seq == before.fences[probeFence] {
		return
	}
	came := f.last - before.last
	if number <= before.probe || number-before.probe > came { // they began anew, or other hands wrote one
		f.unsure = true
		f.written += int64(min(1, came))
		return
	}
	f.written += int64(number - before.probe)
}

// standing is how many of the messages are fences, or the probe.
func (f firesState) standing() (n int64) {
	for _, seq := range f.fences {
		if seq != 0 {
			n++
		}
	}
	return n
}

// fires is how many of the messages are neither.
func (f firesState) fires() int64 {
	return int64(f.msgs) - f.standing()
}

// came is how many fires were published since.
func came(before, now firesState) int64 {
	return int64(now.last-before.last) - now.written
}

// newGaps reports whether more messages are gone between others than fences and
// probes that were replaced.
func newGaps(before, now firesState) bool {
	replaced := before.standing() + now.written - now.standing()
	return int64(now.gaps()) > int64(before.gaps())+max(0, replaced)+now.cleared
}

// removedFires is how many fires are gone that stood behind tooOld, or came and
// went since.
func removedFires(before, now firesState, tooOld uint64) int {
	aged := int64(0)
	if tooOld >= before.first {
		aged = int64(min(tooOld, before.last) - before.first + 1)
	}
	if now.unsure { // a fence more leaves a gap as a fire does
		if now.first <= before.last {
			return 0
		}
		return int(max(0, before.fires()-aged-now.cleared))
	}
	return int(max(0, before.fires()+came(before, now)-now.fires()-aged-now.cleared))
}

// ages knows up to which sequence messages had come at which time, once a minute.
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

// tooOld returns the highest sequence that may be gone since it came before the
// time, or up to two minutes after: what is too old goes in its own time.
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
	return a.seen[0].last // all that there was when we began
}
