package setup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/fault"
	"belfry/internal/loglimit"
	"belfry/streams/journal"
	"belfry/streams/manifest"
	"belfry/streams/wire"
)

// lastNote bounds the recording at a stop; without it a damaged tail may go unnoticed.
const lastNote = 500 * time.Millisecond

const noteFailed = "couldn't note how far the streams are"

// Keep records every few seconds how far the streams are, and what damage the server
// reports, until ctx ends, and once more after that. It must end after everything that
// writes. probes reports whether all messages of a stream between two sequences are
// probes. The error is always nil.
func (s *Setup) Keep(ctx context.Context, probes func(stream string, behind, to uint64) bool) error {
	tick := time.NewTicker(s.cfg.KeepEvery)
	defer tick.Stop()
	failed := false // so that a failure is logged once
	for {
		select {
		case <-tick.C:
			err := errors.Join(s.note(ctx, probes), s.growLater(ctx))
			if err != nil && ctx.Err() == nil && !failed {
				loglimit.Warn(s.cfg.Log, noteFailed, "error", err)
			}
			failed = err != nil
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastNote)
			defer cancel()
			if err := s.note(last, probes); err != nil {
				loglimit.Warn(s.cfg.Log, noteFailed, "error", err)
			}
			return nil
		}
	}
}

// note records how far the streams are, and new damage.
func (s *Setup) note(ctx context.Context, idle func(stream string, behind, to uint64) bool) error {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	if s.cfg.Ledger == nil && !s.book.Behind() { // others may have accepted or found damage
		if err := s.book.Read(ctx); err != nil {
			return err
		}
	}
	now, err := s.howFar(ctx)
	if err != nil {
		return err
	}
	var news []manifest.Damage
	if s.cfg.Disk != nil {
		news = s.cfg.Disk.Damage()
	}
	if s.cfg.Now().Sub(s.noted) >= idleEvery {
		idle = nil
	}
	err = s.book.Change(ctx, func(m *manifest.Manifest) bool {
		changed := m.Advance(s.names, now, idle)
		for _, d := range news {
			changed = m.NoteDamage(d) || changed
		}
		if changed {
			s.noted = s.cfg.Now()
		}
		return changed
	})
	s.tellDamage(news)
	return err
}

// howFar asks the server for the last sequences of Belfry's streams.
func (s *Setup) howFar(ctx context.Context) (map[string]manifest.Known, error) {
	now := map[string]manifest.Known{}
	list := s.js.ListStreams(ctx)
	for info := range list.Info() {
		if s.cfg.Assets.Has(info.Config.Name) {
			now[info.Config.Name] = manifest.Known{Last: info.State.LastSeq, Created: info.Created}
		}
	}
	return now, list.Err()
}

// checkDamage compares the streams with what is recorded about them, at a start, and logs
// all damage that nobody has accepted.
func (s *Setup) checkDamage(ctx context.Context, recreated []string) error {
	now, err := s.caughtUp(ctx)
	if err != nil {
		return fmt.Errorf("couldn't look at the streams: %w", err)
	}
	if err := s.book.Change(ctx, (*manifest.Manifest).NoteMade); err != nil {
		return fmt.Errorf("couldn't write down what is made: %w", err)
	}
	accepted := false
	err = s.book.Change(ctx, func(m *manifest.Manifest) bool {
		changed := false
		for _, d := range s.findDamage(*m, now, recreated) {
			changed = m.NoteDamage(d) || changed
		}
		for name, k := range now { // the loss is recorded; from here on this counts
			if m.Known[name] != k {
				m.Known[name], changed = k, true
			}
		}
		accepted = m.Accept(s.cfg.AcceptDamage)
		return changed || accepted
	})
	if err != nil { // as on a full disk, where a start may help
		loglimit.Warn(s.cfg.Log, noteFailed, "error", err)
	}
	switch {
	case accepted:
		s.cfg.Log.Warn("the damage is accepted, as --accept-damage says", "damage", s.cfg.AcceptDamage)
	case s.cfg.AcceptDamage != "":
		s.cfg.Log.Warn("there is no damage of the number that --accept-damage has", "damage", s.cfg.AcceptDamage)
	}
	m, _ := s.book.Current()
	s.tellDamage(m.Damage)
	return nil
}

// catchUp is how long a new leader may be behind its own disk.
const catchUp = 10 * time.Second

// caughtUp is howFar once no stream is behind its recorded position, or once catchUp is
// over.
func (s *Setup) caughtUp(ctx context.Context) (map[string]manifest.Known, error) {
	for deadline := time.Now().Add(catchUp); ; {
		now, err := s.howFar(ctx)
		if err != nil || s.cfg.Disk != nil || time.Now().After(deadline) {
			return now, err
		}
		m, _ := s.book.Current()
		behind := false
		for name, was := range m.Known {
			is, ok := now[name]
			behind = behind || ok && is.Created.Equal(was.Created) && is.Last < was.Last
		}
		if !behind || !journal.Sleep(ctx, 250*time.Millisecond) {
			return now, ctx.Err()
		}
	}
}

// findDamage lists the streams that have less than recorded, and the damage that the disk
// showed.
func (s *Setup) findDamage(m manifest.Manifest, now map[string]manifest.Known, recreated []string) []manifest.Damage {
	var all []manifest.Damage
	add := func(stream, format string, args ...any) {
		if !slices.Contains(recreated, stream) {
			all = append(all, manifest.Damage{Stream: stream, What: fmt.Sprintf(format, args...), Found: s.cfg.Now().UTC()})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Known)) {
		was, is := m.Known[name], now[name]
		if s.cfg.Disk != nil {
			if last, ok := s.cfg.Disk.Last(name); ok && last < was.Last {
				add(name, "its files end with sequence %d; it had %d", last, was.Last)
				continue
			}
		}
		switch {
		case is.Created.IsZero(): // not listed now; its absence is reported elsewhere
		case !is.Created.Equal(was.Created):
			add(name, "another stream of that name took its place at %s", is.Created.UTC().Format(time.RFC3339))
		case is.Last < was.Last:
			add(name, "it ends with sequence %d; it had %d", is.Last, was.Last)
		}
	}
	if s.cfg.Disk != nil {
		all = append(all, s.cfg.Disk.Damage()...)
	}
	return all
}

// tellDamage logs damage that nobody has accepted, and counts it.
func (s *Setup) tellDamage(all []manifest.Damage) {
	m, _ := s.book.Current()
	s.cfg.Metrics.Damaged(len(m.Damage))
	for _, d := range all {
		if m.Lists(d) {
			s.cfg.Log.Error(fault.Damaged, "stream", d.Stream, "what", d.What, "found", d.Found, "accept", "--accept-damage "+m.DamageID())
		}
	}
}

// DamageWarnings lists the damage that nobody has accepted.
func (s *Setup) DamageWarnings() []string {
	m, _ := s.book.Current()
	var all []string
	for _, d := range m.Damage {
		all = append(all, fmt.Sprintf("%s: stream %s: %s (--accept-damage %s)", fault.Damaged, d.Stream, d.What, m.DamageID()))
	}
	return all
}

// CopiesWarnings lists the streams with fewer copies than wanted.
func (s *Setup) CopiesWarnings() []string {
	s.told.Lock()
	defer s.told.Unlock()
	if len(s.few) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s: %s", fault.FewCopies, strings.Join(s.few, ", "))}
}

// CountJobs returns how many jobs are stored, in every state.
func (s *Setup) CountJobs(ctx context.Context) (uint64, error) {
	var n uint64
	for p := range s.partitions {
		stream, err := s.js.Stream(ctx, s.names.JobsStream(p))
		if err != nil {
			return 0, fmt.Errorf("couldn't count the jobs: %w", err)
		}
		n += stream.CachedInfo().State.Msgs
		for _, key := range []string{wire.EpochKey, wire.AuthKey, wire.ProbeKey} { // these are not jobs
			switch _, err := stream.GetLastMsgForSubject(ctx, s.names.JobsPrefix(p)+key); {
			case err == nil:
				n--
			case !errors.Is(err, jetstream.ErrMsgNotFound):
				return 0, fmt.Errorf("couldn't count the jobs: %w", err)
			}
		}
	}
	return n, nil
}

// idleEvery is how often the positions are recorded while only probes are written: a
// process without work should leave the disk alone.
const idleEvery = 10 * time.Minute
