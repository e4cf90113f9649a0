package streams

import (
	"time"

	"github.com/nats-io/nats.go"
)

// These methods are for the tests of writes that do not work.

// ProbeAfter sets after how long without a write streams are probed; call it before Run.
func (s *Store) ProbeAfter(d time.Duration) { s.health.ProbeAfter = d }

// WrittenStreams returns the names of the streams whose writes are watched.
func (s *Store) WrittenStreams() []string { return s.writtenStreams() }

// ProbeSubject is the subject of a stream's probes.
func ProbeSubject(stream string) string { return probeSubject(stream) }

// Silence makes the store treat a stream as silent until [Store.Answered]. The stream
// gets no more probes. Call it while no write to the stream is under way.
func (s *Store) Silence(stream string) { s.health.Judge(stream, nats.ErrTimeout) }

// Refuse is Silence for a stream that refuses writes.
func (s *Store) Refuse(stream string, err error) { s.health.Judge(stream, err) }

// Answered makes the store see a stored write to that stream.
func (s *Store) Answered(stream string) { s.health.Judge(stream, nil) }

// MakeRoomAfter sets the minimum age of acked fires that are removed to make room; call
// it before Run.
func (s *Store) MakeRoomAfter(d time.Duration) { s.fires.MakeRoomAfter(d) }

// SpareOf returns the max_bytes of a jobs bucket, as last seen.
func (s *Store) SpareOf(partition int) int64 { return s.rooms[partition].Bound() }
