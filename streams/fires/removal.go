package fires

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	"belfry/streams/journal"
	"belfry/streams/timer"
	"belfry/streams/wire"
)

// Fires can be removed from FIRES before they are delivered: by a purge, by the deletion
// of a message, by a limit. Each node compares the state of FIRES every few seconds. When
// messages are gone that were not too old, the owners look for the fires of the standing
// claims. If some are missing, the owners begin the routine for doubt, which publishes
// them again under a new fence.

// firesEvery is how often FIRES is checked.
const firesEvery = 5 * time.Second

// watch checks FIRES again and again, until ctx ends.
func (w *Watch) watch(ctx context.Context) {
	var before firesState
	var ages ages
	var looked time.Time // when look was last set
	pending := false     // messages have gone since then
	owned := false       // whether we owned the first partition then: otherwise another node may have made room
	for pause := time.Duration(0); journal.Sleep(ctx, pause); pause = w.cfg.Every {
		if !w.w.NC.IsConnected() {
			continue
		}
		var now firesState
		err := w.room.between(func() (err error) {
			now, err = w.look(ctx, before)
			return err
		}, &now)
		if err != nil {
			continue // the audit and /readyz report it
		}
		at := w.cfg.Now()
		gone := timer.Removal{First: now.first}
		switch {
		case before.created.IsZero():
			gone.Look = true
		case !now.created.Equal(before.created):
			gone.First = math.MaxUint64
		default:
			removed := removedFires(before, now, ages.tooOld(at.Add(-w.cfg.MaxAge), before))
			pending = pending || before.fires()+came(before, now) != now.fires()+now.cleared
			gone.Look = removed > 0 || newGaps(before, now) || pending && at.Sub(looked) >= time.Minute
			if removed > 0 && w.timers[0].Owns() && (owned || !now.bounded) {
				w.cfg.Metrics.FiresRemoved(removed)
				w.cfg.Log.Error("fires were removed from FIRES before their time, by a purge or a limit; those that no subscriber had yet are lost",
					"fires", removed, "first", now.first, "last", now.last)
			}
		}
		owned = w.timers[0].Owns()
		ages.saw(at, now.last)
		before = now
		w.last.Store(now.last)
		if gone.Look {
			looked, pending = at, false
		}
		for _, t := range w.timers {
			t.LookForFires(ctx, gone)
		}
	}
}

func (w *Watch) look(ctx context.Context, before firesState) (firesState, error) {
	ctx, cancel := context.WithTimeout(ctx, journal.AnswerWait)
	defer cancel()
	stream, err := w.js.Stream(ctx, w.w.Names.FiresStream())
	if err != nil {
		return firesState{}, err
	}
	info := stream.CachedInfo()
	if !journal.HasQuorum(info.Cluster) {
		return firesState{}, errors.New("its leader is not in touch with the others")
	}
	now := stateOf(info)
	for p := range w.timers {
		m, err := w.standsInFires(ctx, now, w.w.Names.FenceSubject(p))
		if err != nil {
			return now, err
		}
		now.fences[p] = m.Seq
	}
	probe, err := w.standsInFires(ctx, now, w.w.Names.ProbeSubject(w.w.Names.FiresStream()))
	if err != nil {
		return now, err
	}
	number, _ := strconv.ParseUint(probe.Header.Get(wire.HeaderProbe), 10, 64)
	now.sawProbe(before, probe.Seq, number)
	if now.standing() < int64(len(w.timers))+1 {
		// A missing fence may have been purged after the state was read, which still
		// counts it.
		if info, err = stream.Info(ctx); err != nil {
			return now, err
		}
		if again := stateOf(info); again.first != now.first || again.gaps() != now.gaps() {
			return now, errFiresChange
		}
	}
	for p := range w.timers {
		written, lost := w.timers[p].FencesBetween(before.last, now.last)
		if now.fences[p] > before.last { // it may be another node's
			now.unsure = now.unsure || written == 0 || w.others()
			written = max(written, 1)
		}
		now.unsure = now.unsure || lost
		now.written += int64(written)
	}
	return now, nil
}

// errFiresChange means that FIRES changed between two reads, so they do not belong
// together. The next look reads both again.
var errFiresChange = errors.New("it has changed meanwhile")

// standsInFires returns the last message on a subject, if the state counts it.
func (w *Watch) standsInFires(ctx context.Context, state firesState, subject string) (journal.Stored, error) {
	m, _, err := w.w.LastOnLeader(ctx, w.w.Names.FiresStream(), subject)
	if err == nil && m.Seq > state.last {
		err = errFiresChange
	}
	return m, err
}
