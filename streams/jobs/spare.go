package jobs

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	limits "golang.org/x/time/rate"

	"belfry/internal/job"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// A jobs bucket with a max_bytes keeps some of it back from new jobs: a claim, a retry, a
// final state and the marker of a cancelled job are larger than the record that they
// replace. Otherwise a full bucket could neither fire its jobs nor cancel them.

// recordSize is roughly the size of a record besides its meta. recordGrowth is how much
// larger it may become, including the headers of a batch.
const (
	recordSize   = 512
	recordGrowth = 384
)

// Spare tracks the free room of one jobs bucket. It is safe for concurrent use.
type Spare struct {
	bucket string
	log    *slog.Logger

	maxBytes, bytes, msgs atomic.Int64 // as last seen; a maxBytes of 0 is no bound
	added                 atomic.Int64 // the bytes of the jobs admitted since then
	short                 atomic.Bool  // new jobs are refused
	told                  limits.Sometimes
}

// NewSpares returns one Spare for each partition.
func NewSpares(n wire.Names, partitions int, log *slog.Logger) (all []*Spare) {
	for p := range partitions {
		all = append(all, &Spare{bucket: n.JobsBucket(p), log: log})
	}
	return all
}

// Look records the state of the bucket, which includes the first added bytes of Pending.
func (s *Spare) Look(info *jetstream.StreamInfo, added int64) {
	s.maxBytes.Store(max(info.Config.MaxBytes, 0))
	s.bytes.Store(int64(info.State.Bytes))
	s.msgs.Store(int64(info.State.Msgs))
	s.added.Add(-added)
	short := !s.fits(recordSize + recordGrowth)
	if s.short.Store(short); short {
		s.told.Interval = 10 * time.Minute
		s.told.Do(func() {
			s.log.Error("a jobs bucket is nearly full; new jobs are refused, and those in it fire", "bucket", s.bucket,
				"bytes", info.State.Bytes, "max_bytes", info.Config.MaxBytes, "do", journal.AdviceFor(journal.IsRefused, &jetstream.APIError{ErrorCode: journal.ErrCodeStoreFailed}))
		})
	}
}

// fits reports whether a new job of that size leaves enough room for all jobs to end.
func (s *Spare) fits(size int64) bool {
	most := s.maxBytes.Load()
	kept := max(most/10, s.msgs.Load()*recordGrowth)
	return most == 0 || s.bytes.Load()+s.added.Load()+size+kept <= most
}

// admit refuses a new or changed job for which there is no room.
func (s *Jobs) admit(j job.Job) error {
	p := wire.PartitionOf(j.Key, s.partitions)
	room := s.rooms[p]
	size := int64(len(j.Meta) + recordSize + recordGrowth)
	if !room.fits(size) {
		return journal.Unwritable([]string{s.w.Names.JobsStream(p)}, "it is nearly full, and the room that is left is for the jobs in it (max_bytes)")
	}
	room.added.Add(size)
	return nil
}

// Pending returns how many bytes were admitted since the last Look. A state of the bucket
// that is requested afterwards includes them.
func (s *Spare) Pending() int64 { return s.added.Load() }

// Bound returns the max_bytes of the bucket as last seen; 0 is no bound.
func (s *Spare) Bound() int64 { return s.maxBytes.Load() }

// IsShort reports whether the bucket accepts no new jobs.
func (s *Spare) IsShort() bool { return s.short.Load() }
