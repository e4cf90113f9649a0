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

// A jobs bucket with a max_bytes keeps some of it back from new jobs: a claim, a
// retry, a final state and the mark of a cancelled job are larger than the record that
// they replace. Without that a full bucket could neither fire what it holds nor let it
// be cancelled.

// recordSize is about how large a record is beside its meta, and recordGrowth how much
// larger it may become, with the headers of a batch.
const (
	recordSize   = 512
	recordGrowth = 384
)

// Spare is what is known of the room of one jobs bucket. It is safe for concurrent
// use.
type Spare struct {
	bucket string
	log    *slog.Logger

	maxBytes, bytes, msgs atomic.Int64 // as last seen; 0 is no bound
	added                 atomic.Int64 // what the jobs need that were let in since
	short                 atomic.Bool  // new jobs are refused
	told                  limits.Sometimes
}

// NewSpares returns what is known of the rooms, by partition.
func NewSpares(n wire.Names, partitions int, log *slog.Logger) (all []*Spare) {
	for p := range partitions {
		all = append(all, &Spare{bucket: n.JobsBucket(p), log: log})
	}
	return all
}

// Look takes in the state of the bucket, in which what was added before stands.
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

// fits reports whether a new job of that size leaves room for what becomes of all jobs.
func (s *Spare) fits(size int64) bool {
	most := s.maxBytes.Load()
	kept := max(most/10, s.msgs.Load()*recordGrowth)
	return most == 0 || s.bytes.Load()+s.added.Load()+size+kept <= most
}

// admit refuses a new or changed job that there is no room for.
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

// Pending returns how many bytes were let in since the last look. The state of the
// bucket that is asked for after this has them.
func (s *Spare) Pending() int64 { return s.added.Load() }

// Bound returns the max_bytes of the bucket as it was last seen; 0 is none.
func (s *Spare) Bound() int64 { return s.maxBytes.Load() }

// IsShort reports whether the bucket takes no new jobs.
func (s *Spare) IsShort() bool { return s.short.Load() }
