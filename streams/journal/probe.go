package journal

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"belfry/streams/wire"
)

// Probes are Belfry's own writes. They show whether a stream accepts writes while nothing
// else is written to it. They use a subject of their own in each stream and do no harm
// there:
//
//   - In a bucket the key is "probe", and the message is a deletion marker, so a
//     watcher of the bucket learns nothing from it.
//   - In FIRES the subject is fence.probe, which is the fence of no partition and in
//     the inbox of no route. Probes are numbered there, so that they can be counted.
//   - From DEAD and ATTEMPTS, which people read, each probe is removed again.
//
// Each probe replaces the one before. The tokens bucket gets no probe before it has a
// token, since any key in it turns authentication on.

// probeTTL is how long the last probe stays in a jobs bucket.
const probeTTL = time.Hour

// largerProbe is about the size of a job. Every other probe has it, because a stream that
// has reached its max_bytes accepts a message no larger than the one it replaces. In a
// bucket a small probe replaces each larger one at once, so that the next larger one needs
// room again.
const largerProbe = 1 << 10

// Prober writes the probes of one node.
type Prober struct {
	H      *Health
	W      *Writer // of the timer
	Send   func(m *nats.Msg, done func(seq uint64, err error))
	Tokens func() bool // whether the tokens bucket may have a probe
	fires  atomic.Pointer[fireProbe]
	Wrote  ownProbes
}

// Run probes the streams that need it, again and again, until ctx ends.
func (p *Prober) Run(ctx context.Context) {
	const every = 200 * time.Millisecond
	for Sleep(ctx, every) {
		for _, due := range p.H.look(p.W.NC.IsConnected()) {
			p.probe(due)
		}
	}
}

// dueProbe is a stream to be probed, with the size of the message.
type dueProbe struct {
	stream string
	size   int
	// shrinks means that this probe only replaces a larger one. Otherwise the next large
	// probe would replace it and a stream without room would seem to have some.
	shrinks bool
}

// look marks the streams that do not answer as silent, and returns the probes to send
// now.
func (h *Health) look(connected bool) (due []dueProbe) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	for name, s := range h.all {
		if !connected {
			s.heard = now
			continue
		}
		waits := s.asked > 0 && now.Sub(s.heard) >= doubtAfter
		if s.asked > 0 && now.Sub(s.heard) >= silentAfter && s.probes > 0 && now.Sub(s.probed) >= doubtAfter && !s.silent {
			if s.failed == nil {
				s.failed, s.since, s.judged = errTimeout, s.heard, s.heard
			}
			h.goesDown(name, s, noAnswer)
		}
		idle := now.Sub(s.stored) >= h.ProbeAfter && now.Sub(s.tried) >= h.ProbeAfter
		again := probeAgain
		if s.failed != nil && now.Sub(s.judged) >= failsLong {
			again = probeSeldom
		}
		const most = 5
		if (waits || s.failed != nil) && now.Sub(s.tried) >= again && (s.probes < most || s.tried.IsZero()) || idle {
			if s.probes++; s.probes == 1 {
				s.probed = now
			}
			s.tried = now
			h.ask(s)
			size := s.size
			if s.larger = s.failed == nil && !s.larger; s.larger {
				size = largerProbe
			}
			due = append(due, dueProbe{stream: name, size: size})
		}
	}
	return due
}

// probeEnded records the answer to a probe.
func (h *Health) probeEnded(stream string, size int, err error) {
	h.ended(stream, size, err, true)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all[stream].probes--
}

// ended records the answer to a probe, and replaces a large probe in a bucket with a
// small one. In other streams, replacing a message gives no room.
func (p *Prober) ended(due dueProbe, err error) {
	if due.shrinks {
		return
	}
	p.H.probeEnded(due.stream, due.size, err)
	refused := due.stream == p.W.Names.TokensStream() && !p.Tokens()
	if err == nil && due.size > 0 && wire.IsBucket(due.stream) && !refused {
		p.probe(dueProbe{stream: due.stream, shrinks: true})
	}
}

// probe sends a probe to a stream.
func (p *Prober) probe(due dueProbe) {
	if due.stream == p.W.Names.FiresStream() {
		p.probeFires(due, false)
		return
	}
	p.write(p.message(due.stream), due)
}

// message returns the probe for a stream.
func (p *Prober) message(stream string) *nats.Msg {
	subject := p.W.Names.ProbeSubject(stream)
	switch {
	case stream == p.W.Names.DeadStream() || stream == p.W.Names.AttemptsStream():
		return &nats.Msg{Subject: subject, Header: nats.Header{}}
	case stream == p.W.Names.TokensStream() && !p.Tokens():
		// The comparison refuses it, which shows that somebody answers.
		m := wire.PurgeMarker(subject, 0)
		m.Header[wire.HeaderExpectSubjectSeq] = []string{wire.FormatUint(1 << 62)}
		return m
	case p.W.Names.JobsBucketOf(subject) != "":
		return wire.PurgeMarker(subject, probeTTL)
	}
	return wire.PurgeMarker(subject, 0)
}

// fireProbe is the last probe in FIRES that this node knows of.
type fireProbe struct {
	seq, number uint64
	unread      bool // it could not be read, so the next one compares with nothing
}

// nextNumber returns the next number for a probe of FIRES. Where there is none, as after
// a purge, the numbers start so high that nobody takes the new probes for a continuation
// of the old ones.
func (p *Prober) nextNumber(last *fireProbe) uint64 {
	if last.number == 0 {
		return uint64(max(p.H.now().UnixNano(), 1))
	}
	return last.number + 1
}

// probeFires probes FIRES with the next number. If another node's probe came first,
// probeFires reads that probe and tries the number after it. If one comes first again,
// that shows that FIRES accepts writes, too.
func (p *Prober) probeFires(due dueProbe, again bool) {
	last := p.fires.Load()
	if last == nil {
		last = &fireProbe{}
	}
	next := fireProbe{number: p.nextNumber(last)}
	m := &nats.Msg{Subject: p.W.Names.ProbeSubject(p.W.Names.FiresStream()), Data: make([]byte, due.size), Header: nats.Header{
		wire.HeaderProbe: {wire.FormatUint(next.number)}, wire.HeaderRollup: {"sub"}, wire.HeaderTTL: {"never"}, wire.HeaderExpectSubjectSeq: {wire.FormatUint(last.seq)},
	}}
	if last.unread {
		delete(m.Header, wire.HeaderExpectSubjectSeq)
	}
	p.Send(m, func(seq uint64, err error) {
		p.Wrote.note(due.stream, seq)
		conflict := errors.Is(kindOfFailure(err), ErrConflict)
		switch {
		case err == nil:
			next.seq = seq
			p.fires.Store(&next)
		case conflict && again:
			err = nil
		case conflict:
			go p.reprobeFires(due)
			return
		}
		p.ended(due, err)
	})
}

func (p *Prober) reprobeFires(due dueProbe) {
	ctx, cancel := context.WithTimeout(context.Background(), AnswerWait)
	defer cancel()
	m, _, err := p.W.LastOnLeader(ctx, p.W.Names.FiresStream(), p.W.Names.ProbeSubject(p.W.Names.FiresStream()))
	if err != nil {
		p.fires.Store(&fireProbe{unread: true})
	} else {
		number, _ := strconv.ParseUint(m.Header.Get(wire.HeaderProbe), 10, 64)
		p.fires.Store(&fireProbe{seq: m.Seq, number: number})
	}
	p.probeFires(due, true)
}

func (p *Prober) write(m *nats.Msg, due dueProbe) {
	m.Header.Set(wire.HeaderProbe, "1")
	m.Data = make([]byte, due.size)
	p.Send(m, func(seq uint64, err error) {
		p.Wrote.note(due.stream, seq)
		if due.stream == p.W.Names.TokensStream() && errors.Is(kindOfFailure(err), ErrConflict) {
			err = nil // as intended
		}
		p.ended(due, err)
		if err == nil && (due.stream == p.W.Names.DeadStream() || due.stream == p.W.Names.AttemptsStream()) {
			p.remove(due.stream)
		}
	})
}

// remove deletes the probes of a stream. If it fails, the next call deletes what is left.
func (p *Prober) remove(stream string) {
	filter, err := json.Marshal(map[string]string{"filter": p.W.Names.ProbeSubject(stream)})
	if err == nil {
		p.W.Ask(&nats.Msg{Subject: wire.PurgeOf(stream), Data: filter}, func(*nats.Msg, error) {})
	}
}
