package tokens

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/loglimit"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// Authentication that was on stays on, whatever is lost. So two marks outside the tokens
// bucket record it: one in the bucket belfry, and one in the first jobs bucket. A mark is
// written before the first token is, and again wherever one is missing while
// authentication is on. Only [Tokens.TurnOff] removes them.

// These values of a mark say what turned authentication on.
const (
	markedByAdmin = "admin" // an admin token; there may have been no other
	markedByToken = "token" // a token of the bucket
)

// markPlace is where a mark is kept.
type markPlace struct{ stream, subject string }

func authMarks(n wire.Names) []markPlace {
	return []markPlace{
		{n.BelfryStream(), n.BelfrySubject(wire.AuthKey)},
		{n.JobsStream(0), n.JobsPrefix(0) + wire.AuthKey},
	}
}

// authWas returns the value of the marks, "" if there is none, and the places that lack
// it. It fails if a place cannot be read and the other has no mark.
func authWas(ctx context.Context, w *journal.Writer) (mark string, missing []markPlace, err error) {
	said := map[markPlace]string{}
	for _, at := range authMarks(w.Names) {
		m, found, failed := w.LastOnLeader(ctx, at.stream, at.subject)
		switch {
		case failed != nil:
			err = failed
		case found && !wire.IsMarker(m.Header):
			said[at] = string(m.Data)
			if mark != markedByToken { // any other value means that it was on
				mark = said[at]
			}
			if mark == "" {
				mark = markedByAdmin
			}
		}
	}
	if mark == "" && err != nil {
		return "", nil, err
	}
	for _, at := range authMarks(w.Names) {
		if was, there := said[at]; !there || was != mark {
			missing = append(missing, at)
		}
	}
	return mark, missing, nil
}

// Mark writes the marks that there are tokens wherever they are missing. It comes before
// the first token is stored.
func Mark(ctx context.Context, w *journal.Writer) error {
	return markAuth(ctx, w, markedByToken)
}

// markAuth writes the mark wherever it is missing. When it returns nil, no loss of
// one bucket turns authentication off.
func markAuth(ctx context.Context, w *journal.Writer, mark string) error {
	was, missing, err := authWas(ctx, w)
	if err != nil {
		return err
	}
	if mark == markedByToken && was != mark {
		missing = authMarks(w.Names)
	}
	for _, at := range missing {
		m := &nats.Msg{Subject: at.subject, Header: nats.Header{}, Data: []byte(mark)}
		if was == markedByToken {
			m.Data = []byte(was)
		}
		if _, err := w.Send(ctx, m); err != nil {
			return fmt.Errorf("%w: couldn't write down that authentication is on: %v", job.ErrUnavailable, err)
		}
	}
	return nil
}

// TurnOff removes every token and the marks that there was authentication. The marks go
// last, so that authentication stays on if TurnOff breaks off; then it can be repeated.
// No other node may run.
func (s *Tokens) TurnOff(ctx context.Context) error {
	stream, err := s.js.Stream(ctx, s.w.Names.TokensStream())
	if err != nil {
		return journal.Unavailable("couldn't look at the tokens", err)
	}
	if err := stream.Purge(ctx); err != nil {
		return journal.Unavailable("couldn't remove the tokens", err)
	}
	for _, at := range authMarks(s.w.Names) {
		if _, found, err := s.w.LastOnLeader(ctx, at.stream, at.subject); err != nil {
			return err
		} else if !found {
			continue
		}
		if _, err := s.w.Send(ctx, wire.PurgeMarker(at.subject, 0)); err != nil {
			return fmt.Errorf("%w: couldn't remove the mark of authentication: %v", job.ErrUnavailable, err)
		}
	}
	s.cfg.Log.Warn("authentication is turned off: every token was removed, and whoever reaches the API may do everything")
	return nil
}

// tokensLook is how often the tokens bucket and the marks are checked.
const tokensLook = 2 * time.Second

// look checks, again and again until ctx ends, for changes that following the bucket does
// not show: the bucket was deleted, replaced or purged, or a mark is missing or was
// written by another node.
func (s *Tokens) look(ctx context.Context) {
	gone := 0
	for journal.Sleep(ctx, tokensLook) {
		if !s.w.NC.IsConnected() {
			continue
		}
		if err := s.remember(ctx); err != nil && ctx.Err() == nil {
			loglimit.Warn(s.cfg.Log, "couldn't look at the mark of authentication", "error", err)
		}
		ask, cancel := context.WithTimeout(ctx, journal.AnswerWait)
		stream, err := s.js.Stream(ask, s.w.Names.TokensStream())
		cancel()
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			if gone++; gone > 1 { // once may come from a server that has just woken up
				s.cfg.Log.Error("the bucket of the tokens is gone; it is made anew, without them", "bucket", s.w.Names.TokensBucket())
				if err := s.makeBucket(ctx); err != nil {
					loglimit.Warn(s.cfg.Log, "couldn't make the bucket of the tokens", "error", err)
				}
				s.beginAnew()
			}
		case err == nil:
			gone = 0
			info := stream.CachedInfo()
			s.mu.RLock()
			lost := s.loaded && (!info.Created.Equal(s.created) || info.State.Msgs < uint64(s.keys))
			s.mu.RUnlock()
			if lost {
				s.beginAnew()
			}
		}
	}
}

// beginAnew makes follow read the bucket again from its beginning.
func (s *Tokens) beginAnew() {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.readAnew != nil {
		s.readAnew()
	}
}

// remember makes the state in memory and the marks agree: each turns the other on.
func (s *Tokens) remember(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, journal.AnswerWait)
	defer cancel()
	mark, missing, err := authWas(ctx, s.w)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if mark != "" {
		s.used = true
	}
	if mark == markedByToken {
		s.hadTokens = true
	}
	want := mark
	switch {
	case s.hadTokens:
		want = markedByToken
	case want == "" && s.cfg.Authenticated:
		want = markedByAdmin
	}
	s.mu.Unlock()
	if want == "" || want == mark && len(missing) == 0 {
		return nil
	}
	return markAuth(ctx, s.w, want)
}

// warnOfLoss logs that authentication is on though no token lets anybody in.
func (s *Tokens) warnOfLoss() {
	s.mu.RLock()
	empty, had, on := s.empty, s.hadTokens, s.used
	s.mu.RUnlock()
	switch {
	case empty && had:
		s.cfg.Log.Error("the tokens are gone; authentication stays on, and only the admin token is accepted: make new tokens with it, or restore a backup; --authentication-off is the one way to serve everybody",
			"bucket", s.w.Names.TokensBucket(), "admin_token", s.cfg.Authenticated)
	case empty && on && !s.cfg.Authenticated:
		s.cfg.Log.Error("authentication was on and stays on, but there is neither a token nor an admin token, so all requests are refused: start with --admin-token-file; --authentication-off is the one way to serve everybody")
	}
}
