package wire

import (
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
)

// HeaderParser reads headers and remembers the first that cannot be read. A missing
// header is zero.
type HeaderParser struct {
	H   nats.Header
	bad string
}

func (p *HeaderParser) fail(name string) {
	if p.bad == "" {
		p.bad = name
	}
}

// Uint reads a number; without the header it is 0.
func (p *HeaderParser) Uint(name string) uint64 {
	return p.parse(name, p.H.Get(name))
}

func (p *HeaderParser) parse(name, s string) uint64 {
	if s == "" {
		return 0
	}
	v, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		p.fail(name)
	}
	return v
}

func (p *HeaderParser) text(name string) string {
	s, err := Unescape(p.H.Get(name))
	if err != nil {
		p.fail(name)
	}
	return s
}

func (p *HeaderParser) position(name string) job.Position {
	s := p.H.Get(name)
	if s == "" {
		return job.Position{}
	}
	due, seq, ok := strings.Cut(s, ":")
	if !ok {
		p.fail(name)
	}
	return job.Position{Due: int64(p.parse(name, due)), Seq: p.parse(name, seq)}
}

// FormatInt and FormatUint format numbers as headers have them.
func FormatInt(v int64) string   { return strconv.FormatInt(v, 10) }
func FormatUint(v uint64) string { return strconv.FormatUint(v, 10) }

// PurgeMarker returns the marker of a deleted key of a bucket, which replaces all of the
// key's messages. It is kept for ttl; with 0, as long as the bucket keeps anything.
func PurgeMarker(subject string, ttl time.Duration) *nats.Msg {
	m := &nats.Msg{Subject: subject, Header: nats.Header{HeaderKVOperation: {"PURGE"}, HeaderRollup: {"sub"}}}
	if ttl > 0 {
		m.Header[HeaderTTL] = []string{ttl.String()}
	}
	return m
}

// IsMarker reports whether a message of a bucket marks a key that was deleted or that
// expired.
func IsMarker(h nats.Header) bool {
	return h.Get(HeaderKVOperation) != "" || h.Get(jetstream.MarkerReasonHeader) != ""
}
