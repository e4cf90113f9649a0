package streams

import (
	"time"

	"github.com/nats-io/nats.go"
)

// Names for the tests of writes that do not work.

// ProbeAfter has streams tried after such a time without a write; call it before
// Run.
func (s *Store) ProbeAfter(d time.Duration) { s.health.ProbeAfter = d }

// WrittenStreams names the streams whose writes are looked after.
func (s *Store) WrittenStreams() []string { return s.writtenStreams() }

// ProbeSubject is where a stream is tried.
func ProbeSubject(stream string) string { return probeSubject(stream) }

// Silence has the store take a stream for silent until [Store.Answered]. No probe of it
// is sent any more. Call it while no write to the stream is under way.
func (s *Store) Silence(stream string) { s.health.Judge(stream, nats.ErrTimeout) }

// Refuse is Silence for a stream that refuses writes.
func (s *Store) Refuse(stream string, err error) { s.health.Judge(stream, err) }

// Answered has it hear of a stored write to that stream.
func (s *Store) Answered(stream string) { s.health.Judge(stream, nil) }

// MakeRoomAfter sets how old acked fires are at least that are removed to make room;
// call it before Run.
func (s *Store) MakeRoomAfter(d time.Duration) { s.fires.MakeRoomAfter(d) }

// SpareOf returns the max_bytes of a jobs bucket, as last seen.
func (s *Store) SpareOf(partition int) int64 { return s.rooms[partition].Bound() }
