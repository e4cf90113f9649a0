package streams_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"belfry/internal/job"
	"belfry/internal/logtest"
	"belfry/streams"
	"belfry/streams/tokens"
)

const (
	markInBelfry = "$KV.belfry.authentication"
	markInJobs   = "$KV.jobs_0.authentication"
)

// mark returns what a mark says, or "" if there is none.
func (f *fixture) mark(subject string) string {
	f.t.Helper()
	stream := "KV_" + strings.Split(subject, ".")[1]
	found := f.messages(stream, subject)
	if len(found) == 0 || found[0].Headers().Get("KV-Operation") != "" {
		return ""
	}
	return string(found[0].Data())
}

// inUse follows the tokens from a start, and expects authentication to be on or off.
func (f *fixture) inUse(want bool) *tokens.Tokens {
	f.t.Helper()
	tokens := f.followTokens()
	if used, err := tokens.InUse(); used != want || err != nil {
		f.t.Errorf("authentication is on: %v, %v; want %v", used, err, want)
	}
	return tokens
}

func (f *fixture) withToken() job.Token {
	f.t.Helper()
	token, _ := newToken()
	if err := f.followTokens().Create(f.t.Context(), token); err != nil {
		f.t.Fatal(err)
	}
	return token
}

// losses are the ways to lose a bucket.
var losses = map[string]func(f *fixture, stream string) error{
	"deleted": func(f *fixture, stream string) error { return f.js.DeleteStream(f.t.Context(), stream) },
	"purged": func(f *fixture, stream string) error {
		s, err := f.js.Stream(f.t.Context(), stream)
		if err != nil || stream != "KV_tokens" {
			return errors.Join(err, f.js.DeleteStream(f.t.Context(), stream))
		}
		return s.Purge(f.t.Context())
	},
}

// Between two runs the buckets are lost one after the other, in every order.
func TestAuthenticationOutlivesTheLossOfABucket(t *testing.T) {
	t.Parallel()
	for how, lose := range losses {
		for _, order := range [][]string{{"KV_tokens"}, {"KV_belfry"}, {"KV_jobs_0"}, {"KV_tokens", "KV_belfry", "KV_jobs_0", "KV_belfry"}, {"KV_belfry", "KV_jobs_0", "KV_tokens"}} {
			t.Run(how+"/"+strings.Join(order, ","), func(t *testing.T) {
				t.Parallel()
				f := open(t, streams.Config{})
				token := f.withToken()
				for _, stream := range order {
					if err := lose(f, stream); err != nil {
						t.Fatal(err)
					}
					var log logtest.Log
					f.reopen(streams.Config{Log: log.Logger(), RecreateMissing: true}) // as an operator who means it
					tokens := f.inUse(true)
					const gone = `level=ERROR msg="the tokens are gone`
					if _, err := tokens.Find(token.ID); errors.Is(err, job.ErrTokenNotFound) {
						eventually(t, "the log says that the tokens are gone", func() bool { return strings.Contains(log.String(), gone) })
					} else if err != nil || strings.Contains(log.String(), gone) {
						t.Errorf("after the loss of %s the token is there: %v; the log says:\n%s", stream, err, log.String())
					}
					for _, mark := range []string{markInBelfry, markInJobs} {
						eventually(t, "the mark "+mark+" is written after the loss of "+stream, func() bool { return f.mark(mark) == "token" })
					}
				}
			})
		}
	}
}

// The bucket is lost under a running store: authentication stays on, the tokens end, and
// new ones can be created.
func TestAuthenticationOutlivesTheLossOfTheBucketAtWork(t *testing.T) {
	t.Parallel()
	for how, lose := range losses {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			var log logtest.Log
			f := open(t, streams.Config{Log: log.Logger()})
			token, _ := newToken()
			tokens := f.followTokens()
			if err := tokens.Create(t.Context(), token); err != nil {
				t.Fatal(err)
			}
			if err := lose(f, "KV_tokens"); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the lost token is refused", func() bool {
				if used, err := tokens.InUse(); !used || err != nil {
					t.Fatalf("authentication is on: %v, %v; want true all the time", used, err)
				}
				_, err := tokens.Find(token.ID)
				return errors.Is(err, job.ErrTokenNotFound)
			})
			eventually(t, "the log says so", func() bool { return strings.Contains(log.String(), `level=ERROR msg="the tokens are gone`) })
			next, _ := newToken()
			eventually(t, "a token can be made", func() bool { return tokens.Create(t.Context(), next) == nil })
			if got, err := tokens.Find(next.ID); err != nil || got.ID != next.ID {
				t.Errorf("the new token: %v, %v", got, err)
			}
		})
	}
}

// An admin token is authentication, too: a later start without it serves nobody.
func TestAdminTokenLeavesAMark(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{Authenticated: true})
	f.inUse(false) // the first state that the store knows
	for _, mark := range []string{markInBelfry, markInJobs} {
		if got := f.mark(mark); got != "admin" {
			t.Errorf("the mark %s is %q, want that of an admin token", mark, got)
		}
	}
	var log logtest.Log
	f.reopen(streams.Config{Log: log.Logger()})
	f.inUse(true)
	eventually(t, "the log says that all are refused", func() bool {
		return strings.Contains(log.String(), "neither a token nor an admin token") && strings.Contains(log.String(), "level=ERROR")
	})
	// It does not report the loss of tokens that never existed.
	if strings.Contains(log.String(), "the tokens are gone") {
		t.Errorf("the log misses tokens:\n%s", log.String())
	}
}

// Another node without an admin token learns of the mark while it runs.
func TestMarkReachesOtherNodes(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	tokens := f.inUse(false)
	other := &fixture{t: t, server: f.server}
	other.connect()
	other.reopen(streams.Config{Authenticated: true})
	other.followTokens()
	eventually(t, "authentication is on", func() bool { used, err := tokens.InUse(); return used && err == nil })
}

// A bucket with tokens from a version without marks gets marks.
func TestTokensOfATimeWithoutMarks(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.withToken()
	for _, mark := range []string{markInBelfry, markInJobs} {
		if err := f.nc.PublishMsg(&nats.Msg{Subject: mark, Header: nats.Header{"KV-Operation": {"PURGE"}, "Nats-Rollup": {"sub"}}}); err != nil {
			t.Fatal(err)
		}
	}
	f.reopen(streams.Config{})
	f.inUse(true)
	for _, mark := range []string{markInBelfry, markInJobs} {
		eventually(t, "the mark "+mark+" is written", func() bool { return f.mark(mark) == "token" })
	}
}

// Rows 24 and 25: a crash between the writes of a first token leaves authentication on,
// and the next token is created as usual.
func TestCrashBeforeTheFirstToken(t *testing.T) {
	t.Parallel()
	for row, marks := range map[string][]string{"24 after one mark": {markInBelfry}, "24 after the other": {markInJobs}, "25 after both": {markInBelfry, markInJobs}} {
		t.Run(row, func(t *testing.T) {
			t.Parallel()
			f := open(t, streams.Config{})
			for _, mark := range marks {
				if _, err := f.js.Publish(t.Context(), mark, []byte("token")); err != nil {
					t.Fatal(err)
				}
			}
			f.reopen(streams.Config{})
			tokens := f.inUse(true)
			for _, mark := range []string{markInBelfry, markInJobs} {
				if got := f.mark(mark); got != "token" {
					t.Errorf("the mark %s is %q, want that of tokens", mark, got)
				}
			}
			token, _ := newToken()
			if err := tokens.Create(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
}

// A token is not valid before its mark is written.
func TestNoTokenWithoutItsMark(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	tokens := f.inUse(false)
	if err := f.js.DeleteStream(t.Context(), "KV_belfry"); err != nil {
		t.Fatal(err)
	}
	token, _ := newToken()
	if err := tokens.Create(t.Context(), token); !errors.Is(err, job.ErrUnavailable) {
		t.Errorf("a token without a place for its mark: %v, want ErrUnavailable", err)
	}
	if got := f.messages("KV_tokens", ">"); len(got) > 0 {
		t.Errorf("%d tokens are stored, want none", len(got))
	}
}

// Row 26: only turning authentication off on purpose works, and it can be repeated after
// it broke off.
func TestTurnAuthenticationOff(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	f.withToken()
	f.reopen(streams.Config{})
	if err := f.Tokens().TurnOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.inUse(false)
	f.reopen(streams.Config{})
	f.inUse(false)
	for _, left := range []string{markInBelfry, markInJobs} {
		f.reopen(streams.Config{})
		f.withToken()
		f.reopen(streams.Config{})
		if err := f.Tokens().TurnOff(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := f.js.Publish(t.Context(), left, []byte("token")); err != nil { // as if it had broken off before
			t.Fatal(err)
		}
		f.reopen(streams.Config{})
		f.inUse(true)
		f.reopen(streams.Config{})
		if err := f.Tokens().TurnOff(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.inUse(false)
	}
}
