package main

import (
	"cmp"
	"crypto/rand"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// inboxes are the subjects on which this process's connections get their answers.
// Each connection has a prefix with 128 random bits and more of its own: nothing
// that NATS clients are shown, such as the ids of $SRV.PING, tells another's
// inbox, on this node or on others. It is safe for concurrent use.
type inboxes struct {
	mu       sync.Mutex // guards what follows
	prefixes []string
}

// random makes the inboxes of a connection hard to guess. It goes behind the
// options that set a prefix, which it keeps: the user may have rights for that
// one alone.
func (in *inboxes) random(o *nats.Options) error {
	prefix := cmp.Or(o.InboxPrefix, strings.TrimSuffix(nats.InboxPrefix, ".")) + "." + rand.Text()
	in.mu.Lock()
	defer in.mu.Unlock()
	in.prefixes = append(in.prefixes, prefix+".")
	return nats.CustomInboxPrefix(prefix)(o)
}

// own reports whether a subject is an inbox of this process.
func (in *inboxes) own(subject string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, prefix := range in.prefixes {
		if strings.HasPrefix(subject, prefix) {
			return true
		}
	}
	return false
}
