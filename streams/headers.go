package streams

import (
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
)

// headerParser reads headers and remembers the first that cannot be read. An
// absent one is zero.
type headerParser struct {
	h   nats.Header
	bad string
}

func (p *headerParser) fail(name string) {
	if p.bad == "" {
		p.bad = name
	}
}

func (p *headerParser) uint(name string) uint64 {
	return p.parse(name, p.h.Get(name))
}

func (p *headerParser) parse(name, s string) uint64 {
	if s == "" {
		return 0
	}
	v, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		p.fail(name)
	}
	return v
}

func (p *headerParser) text(name string) string {
	s, err := Unescape(p.h.Get(name))
	if err != nil {
		p.fail(name)
	}
	return s
}

func (p *headerParser) position(name string) job.Position {
	s := p.h.Get(name)
	if s == "" {
		return job.Position{}
	}
	due, seq, ok := strings.Cut(s, ":")
	if !ok {
		p.fail(name)
	}
	return job.Position{Due: int64(p.parse(name, due)), Seq: p.parse(name, seq)}
}

func formatInt(v int64) string   { return strconv.FormatInt(v, 10) }
func formatUint(v uint64) string { return strconv.FormatUint(v, 10) }

// purgeMarker is the mark that a key of a bucket was deleted, in place of all that
// it had. It is kept for a while, or with 0 as long as the bucket keeps anything.
func purgeMarker(subject string, ttl time.Duration) *nats.Msg {
	m := &nats.Msg{Subject: subject, Header: nats.Header{hdrKVOperation: {"PURGE"}, hdrRollup: {"sub"}}}
	if ttl > 0 {
		m.Header[hdrTTL] = []string{ttl.String()}
	}
	return m
}

// isMarker reports whether a message of a bucket is the mark of a deleted key, or
// of one that expired.
func isMarker(h nats.Header) bool {
	return h.Get(hdrKVOperation) != "" || h.Get(jetstream.MarkerReasonHeader) != ""
}
