package streams_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"belfry/internal/job"
	"belfry/streams"
	"belfry/streams/tokens"
)

// followTokens runs the store's tokens until the test ends, from a known state.
func (f *fixture) followTokens() *tokens.Tokens {
	f.t.Helper()
	tokens := f.Tokens()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tokens.Run(ctx) }()
	f.t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			f.t.Errorf("the tokens ended with %v, want that they were told to", err)
		}
	})
	if err := tokens.Wait(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	return tokens
}

func newToken() (job.Token, string) {
	t, text := job.Token{Role: job.Reader, DBs: []string{"db"}}.Issue(time.Now())
	_, secret, _ := job.SplitToken(text)
	return t, secret
}

func TestTokens(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	ctx := t.Context()
	unread := f.Tokens()
	_, err := unread.Find("x")
	_, err2 := unread.InUse()
	_, err3 := unread.List()
	for _, err := range []error{err, err2, err3, unread.Delete(ctx, "x")} {
		if !errors.Is(err, job.ErrUnavailable) {
			t.Errorf("before the bucket is read: %v, want ErrUnavailable", err)
		}
	}

	tokens := f.followTokens()
	if used, err := tokens.InUse(); used || err != nil {
		t.Errorf("an empty bucket is in use: %v, %v", used, err)
	}
	token, secret := newToken()
	if err := tokens.Create(ctx, token); err != nil {
		t.Fatal(err)
	}
	if got, err := tokens.Find(token.ID); err != nil || cmp.Diff(token, got) != "" {
		t.Errorf("right after its creation: %v, %v; want %v", got, err, token)
	}
	if got, err := tokens.List(); err != nil || cmp.Diff([]job.Token{token}, got) != "" {
		t.Errorf("the list: %v, %v; want %v", got, err, token)
	}
	stored := f.messages("KV_tokens", ">")
	if len(stored) != 1 || strings.Contains(string(stored[0].Data()), secret) {
		t.Errorf("the bucket has %d messages, want 1 without the secret", len(stored))
	}

	if err := tokens.Delete(ctx, token.ID); err != nil {
		t.Fatal(err)
	}
	if got, err := tokens.Find(token.ID); !errors.Is(err, job.ErrTokenNotFound) {
		t.Errorf("right after its deletion: %v, %v; want ErrTokenNotFound", got, err)
	}
	if err := tokens.Delete(ctx, token.ID); !errors.Is(err, job.ErrTokenNotFound) {
		t.Errorf("deleting it again: %v, want ErrTokenNotFound", err)
	}

	// The next start knows that tokens existed.
	f.reopen(streams.Config{})
	if used, err := f.followTokens().InUse(); !used || err != nil {
		t.Errorf("a bucket that had a token is in use: %v, %v; want true", used, err)
	}
}

// Every node has the tokens of the others, and loses them when they are revoked, even
// after it was cut off.
func TestTokensOnTwoNodes(t *testing.T) {
	t.Parallel()
	a := open(t, streams.Config{})
	b := &fixture{t: t, server: a.server}
	b.connect()
	b.reopen(streams.Config{})
	here, there := a.followTokens(), b.followTokens()
	kept, _ := newToken()
	revoked, _ := newToken()
	for _, token := range []job.Token{kept, revoked} {
		if err := here.Create(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the other node has the token", func() bool { _, err := there.Find(token.ID); return err == nil })
	}
	gone := func() bool { _, err := there.Find(revoked.ID); return errors.Is(err, job.ErrTokenNotFound) }
	if err := here.Delete(t.Context(), revoked.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the token is revoked on the other node", gone)

	a.server.Restart()
	revoked, _ = newToken()
	eventually(t, "a token is made after a restart", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		return here.Create(ctx, revoked) == nil || func() bool { _, err := here.Find(revoked.ID); return err == nil }()
	})
	eventually(t, "the other node has it", func() bool { _, err := there.Find(revoked.ID); return err == nil })
	eventually(t, "it is revoked", func() bool {
		err := here.Delete(t.Context(), revoked.ID)
		return err == nil || errors.Is(err, job.ErrTokenNotFound)
	})
	eventually(t, "it is revoked on the other node", gone)
	if _, err := there.Find(kept.ID); err != nil {
		t.Errorf("the token of before the restart: %v", err)
	}
}

// Values that somebody else puts into the bucket let nobody in.
func TestTokensBucketWithOtherThings(t *testing.T) {
	t.Parallel()
	f := open(t, streams.Config{})
	token, _ := newToken()
	for key, value := range map[string]string{"x": `{}`, token.ID: `{"role":"admin","all_dbs":true}`} {
		if _, err := f.js.Publish(t.Context(), "$KV.tokens."+key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	tokens := f.followTokens()
	if list, err := tokens.List(); err != nil || len(list) != 0 {
		t.Errorf("the tokens are %v, %v; want none", list, err)
	}
	if used, err := tokens.InUse(); !used || err != nil {
		t.Errorf("the bucket is in use: %v, %v; want true: it is not empty", used, err)
	}
	// A token that is overwritten by hand is no longer a token.
	if err := f.nc.PublishMsg(&nats.Msg{Subject: "$KV.tokens." + token.ID, Data: []byte("?")}); err != nil {
		t.Fatal(err)
	}
	other, _ := newToken()
	if err := tokens.Create(t.Context(), other); err != nil { // written after it
		t.Fatal(err)
	}
	if list, err := tokens.List(); err != nil || len(list) != 1 {
		t.Errorf("the tokens are %v, %v; want the one", list, err)
	}
}
