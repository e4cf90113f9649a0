package tokens

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/contract"
	"belfry/internal/job"
	"belfry/internal/loglimit"
	"belfry/internal/metrics"
	"belfry/internal/panics"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// Tokens are the bearer tokens, one key each in their bucket. All are in memory, so a
// request is checked without asking JetStream. [Tokens.Run] follows the bucket, so the
// other nodes know a token that was created or deleted on one node as soon as JetStream
// tells them. Until the first state of the bucket is known, every answer is
// [job.ErrUnavailable]. It is safe for concurrent use.
//
// The markers of deleted tokens stay in the bucket. They are how a node that was away
// learns of a deletion, and how a bucket without tokens shows that it has had some; see
// [Tokens.InUse]. If the bucket is lost, mark.go remembers.
type Tokens struct {
	w   *journal.Writer
	js  jetstream.JetStream
	cfg Config

	makeBucket func(context.Context) error

	mu        sync.RWMutex // guards what follows
	known     map[string]job.Token
	broken    map[string]bool // keys whose value is not a token
	empty     bool            // no key holds a token
	keys      int             // how many keys the bucket has, including those of deleted tokens
	created   time.Time       // when the bucket was created
	used      bool            // authentication is on; it never goes off again
	hadTokens bool            // the bucket has or had a token
	loaded    bool            // the first state of the bucket is in known
	seen      uint64          // the last revision in known
	changed   chan struct{}   // closed, and replaced, at each change of these
	readAnew  func()          // stops the current follow, so that the bucket is read anew
}

// Config configures the tokens.
type Config struct {
	// Authenticated says that there is an admin token, so that authentication is on even
	// without other tokens.
	Authenticated bool

	Log     *slog.Logger
	Metrics *metrics.Streams
}

// New returns the tokens on one way to JetStream. makeBucket creates their bucket if it
// is missing.
func New(by journal.Access, makeBucket func(context.Context) error, cfg Config) *Tokens {
	return &Tokens{w: by.W, js: by.JS, cfg: cfg, makeBucket: makeBucket, known: map[string]job.Token{}, broken: map[string]bool{}, changed: make(chan struct{})}
}

// Find returns the token with the id, expired or not, or
// [job.ErrTokenNotFound].
func (s *Tokens) Find(id string) (job.Token, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, ok := s.known[id]
	switch {
	case !s.loaded:
		return job.Token{}, errTokensUnknown
	case !ok:
		return job.Token{}, fmt.Errorf("%w: %s", job.ErrTokenNotFound, job.Quote(id))
	}
	return t, nil
}

var errTokensUnknown = fmt.Errorf("%w: the tokens have not been read yet", job.ErrUnavailable)

// InUse reports whether authentication is on: whether there is a token or an admin token,
// or ever was one. Neither deleting the last token nor losing the bucket may let
// everybody in.
func (s *Tokens) InUse() (bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !s.loaded {
		return false, errTokensUnknown
	}
	return s.used, nil
}

// HadAny reports whether there ever was a token.
func (s *Tokens) HadAny() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.loaded && s.hadTokens
}

// List returns every token, including expired ones, oldest first.
func (s *Tokens) List() ([]job.Token, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !s.loaded {
		return nil, errTokensUnknown
	}
	return slices.SortedFunc(maps.Values(s.known), func(a, b job.Token) int {
		if a.Created != b.Created {
			return int(a.Created - b.Created)
		}
		return strings.Compare(a.ID, b.ID)
	}), nil
}

// Create stores an issued token. It is valid on this node when Create returns. If the
// answer is missing, the token may exist, but nobody knows its text.
func (s *Tokens) Create(ctx context.Context, t job.Token) error {
	if err := Mark(ctx, s.w); err != nil {
		return err
	}
	m := &nats.Msg{Subject: s.w.Names.TokenSubject(t.ID), Header: nats.Header{}, Data: contract.AppendToken(nil, t)}
	m.Header.Set(wire.HeaderExpectSubjectSeq, "0")
	revision, err := s.send(ctx, m)
	if err != nil {
		return err
	}
	return s.wait(ctx, func() bool { return s.seen >= revision })
}

// Delete revokes a token. This node refuses it when Delete returns, and the others as
// soon as JetStream tells them. A value under the key that is not a token is removed.
func (s *Tokens) Delete(ctx context.Context, id string) error {
	if _, err := s.Find(id); err != nil && !s.isBroken(id) {
		return err
	}
	revision, err := s.send(ctx, &nats.Msg{Subject: s.w.Names.TokenSubject(id), Header: nats.Header{wire.HeaderKVOperation: {"DEL"}}})
	if err != nil {
		return err
	}
	return s.wait(ctx, func() bool { return s.seen >= revision })
}

func (s *Tokens) isBroken(id string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.broken[id]
}

func (s *Tokens) send(ctx context.Context, m *nats.Msg) (revision uint64, err error) {
	revision, err = s.w.Send(ctx, m)
	if errors.Is(err, journal.ErrNoAnswer) || errors.Is(err, journal.ErrConflict) { // our own first send
		err = fmt.Errorf("%w: %v", job.ErrUnknownOutcome, err)
	}
	return revision, err
}

// Wait blocks until the first state of the bucket is known, or ctx ends.
func (s *Tokens) Wait(ctx context.Context) error {
	return s.wait(ctx, func() bool { return s.loaded })
}

// wait blocks until done returns true; done is called with the lock held.
func (s *Tokens) wait(ctx context.Context, done func() bool) error {
	for {
		s.mu.RLock()
		over, changed := done(), s.changed
		s.mu.RUnlock()
		if over {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: the bucket of the tokens cannot be followed: %v", job.ErrUnknownOutcome, ctx.Err())
		}
	}
}

// Run follows the bucket until ctx ends, whatever happens to JetStream. When the consumer
// breaks, the known tokens stay valid until everything is read anew.
func (s *Tokens) Run(ctx context.Context) error {
	var looking sync.WaitGroup
	defer looking.Wait()
	looking.Go(func() { s.look(ctx) })
	journal.RetryForever(ctx, 50*time.Millisecond, 2*time.Second, s.follow, func(err error) {
		loglimit.Warn(s.cfg.Log, "the bucket of the tokens is read anew", "error", err)
	})
	return ctx.Err()
}

// follow reads the whole bucket and then each change. It uses an ordered consumer of its
// own: a watch of the KV client may be blind for 10 s when its server goes away, and a
// revoked token would stay valid that long.
func (s *Tokens) follow(ctx context.Context) error {
	if err := s.remember(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	s.mu.Lock()
	s.readAnew = func() { stop(errReplaced) }
	s.mu.Unlock()
	if err := s.followBucket(ctx); err != nil && context.Cause(ctx) == nil {
		return err
	}
	return context.Cause(ctx)
}

var errReplaced = errors.New("the bucket is not the one that was read, or has lost something")

func (s *Tokens) followBucket(ctx context.Context) error {
	stream, err := s.js.Stream(ctx, s.w.Names.TokensStream())
	if err != nil {
		return err
	}
	created := stream.CachedInfo().Created
	c, err := s.js.OrderedConsumer(ctx, s.w.Names.TokensStream(), jetstream.OrderedConsumerConfig{MaxResetAttempts: 1})
	if err != nil {
		return err
	}
	// fresh holds the tokens read until the first state is complete.
	fresh := &Tokens{w: s.w, cfg: s.cfg, known: map[string]job.Token{}, broken: map[string]bool{}}
	keys := map[string]bool{}
	first := func(last uint64) {
		s.change(func() {
			s.known, s.broken, s.keys, s.created, s.loaded, s.seen = fresh.known, fresh.broken, len(keys), created, true, last
			s.empty, s.hadTokens = !fresh.hadTokens, s.hadTokens || fresh.hadTokens
			s.used = s.used || s.hadTokens
			fresh = nil
		})
		s.warnOfLoss()
	}
	if c.CachedInfo().NumPending == 0 {
		first(0)
	}
	for m, err := range journal.MessagesOf(ctx, c, jetstream.PullHeartbeat(journal.TailHeartbeat)) {
		if err != nil {
			return err
		}
		at, err := m.Metadata()
		if err != nil {
			return err
		}
		keys[m.Subject()] = true
		if fresh == nil {
			s.change(func() {
				s.take(m)
				s.keys, s.used, s.seen = len(keys), s.used || s.hadTokens, at.Sequence.Stream
			})
			continue
		}
		fresh.take(m)
		if at.NumPending == 0 {
			first(at.Sequence.Stream)
			if err := s.remember(ctx); err != nil { // the bucket may be from a version without marks
				return err
			}
		}
	}
	return ctx.Err()
}

// take applies one message of the bucket to the known tokens. A value that is not a token
// lets nobody in. It counts as a token that was there, since it may have replaced one,
// unless its key cannot be a token's key.
func (s *Tokens) take(m jetstream.Msg) {
	defer panics.Recover(s.cfg.Log, "a message of the tokens bucket", s.cfg.Metrics.Panicked)
	id := s.w.Names.ParseTokenSubject(m.Subject())
	delete(s.known, id)
	delete(s.broken, id)
	if job.IsTokenID(id) {
		s.empty, s.hadTokens = false, true
	}
	if wire.IsMarker(m.Headers()) {
		return
	}
	t, err := contract.ParseStoredToken(m.Data(), id)
	if err != nil {
		s.cfg.Log.Error("value in the tokens bucket is no token; DELETE /token/<key> removes it", "key", id, "error", err)
		s.broken[id] = true
		return
	}
	s.known[id] = t
}

// change runs do under the lock and wakes those who wait for a change.
func (s *Tokens) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	close(s.changed)
	s.changed = make(chan struct{})
}
