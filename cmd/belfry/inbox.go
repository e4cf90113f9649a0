package main

import (
	"cmp"
	"crypto/rand"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// inboxes are the subjects on which this process's connections get their answers. Each
// connection has a prefix of its own with 128 random bits or more: nothing that NATS
// clients can see, such as the ids of $SRV.PING, reveals another client's inbox, on this
// node or on others. It is safe for concurrent use.
type inboxes struct {
	mu       sync.Mutex // guards the fields below
	prefixes []string
}

// random makes the inboxes of a connection hard to guess. It comes after the options
// that set a prefix, and keeps that prefix: the user may have rights for it alone.
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
