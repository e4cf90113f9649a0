package main

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"belfry/internal/logtest"
	"belfry/internal/waittest"
)

func TestInboxes(t *testing.T) {
	t.Parallel()
	var in inboxes
	seen := map[string]bool{}
	for _, given := range []string{"", "_INBOX_mine", "mine.boxes"} {
		for range 2 {
			o := nats.Options{InboxPrefix: given}
			if err := in.random(&o); err != nil {
				t.Fatal(err)
			}
			want := given
			if want == "" {
				want = "_INBOX"
			}
			secret, ok := strings.CutPrefix(o.InboxPrefix, want+".")
			if !ok || len(secret) < 26 || seen[secret] {
				t.Errorf("with the prefix %q: %q, want 128 random bits behind it", given, o.InboxPrefix)
			}
			seen[secret] = true
			if !in.own(o.InboxPrefix+".x") || in.own(o.InboxPrefix) || in.own(o.InboxPrefix+"x.y") || in.own(want+".x") || in.own("") {
				t.Errorf("%q is not told from other subjects", o.InboxPrefix)
			}
		}
	}
}

// Every subject on which a running Belfry gets answers is random and its own, and
// the service sends no answer there.
func TestOwnInboxesAreNoReplies(t *testing.T) {
	t.Parallel()
	var log logtest.Log
	s := New(freePorts(t), log.Logger())
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(t.Context()) })
	nc, err := nats.Connect(s.NATSURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	heard, err := nc.SubscribeSync("$JS.API.>")
	if err != nil {
		t.Fatal(err)
	}
	replies := map[string]bool{}
	for len(replies) < 5 { // the timer asks again and again
		m, err := heard.NextMsg(patience)
		if err != nil {
			t.Fatalf("after %d replies: %v", len(replies), err)
		}
		replies[m.Reply] = true
		if !s.inboxes.own(m.Reply) {
			t.Errorf("%s has its answer sent to %q, which is no random inbox", m.Subject, m.Reply)
		}
	}
	for reply := range replies {
		if err := nc.PublishRequest("belfry.job.list.games", reply, nil); err != nil {
			t.Fatal(err)
		}
	}
	waittest.Eventually(t, func() string {
		if n := strings.Count(log.String(), "a request was left undone"); n < len(replies) {
			return "requests with Belfry's own inboxes for a reply were not left undone"
		}
		return ""
	})
}
