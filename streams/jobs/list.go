package jobs

import (
	"cmp"
	"context"
	"slices"
	"time"

	"belfry/internal/job"
	"belfry/internal/room"
	"belfry/streams/journal"
	"belfry/streams/wire"
)

// readTime bounds the reading of one request. A filter that matches little may
// need more; then the page has fewer jobs, and a cursor.
const readTime = 2 * time.Second

// listedBytes is what one job in a list takes. A page of longer ones, with ids that
// are all escapes, has fewer.
const listedBytes = 2 << 10

// List returns jobs that the query selects, without their meta, and where to go
// on. It holds one page in memory, however many jobs there are. A walk from
// page to page has each job that is there all the time at least once. One that
// changes meanwhile may be on a later page again; on one page it is once, as it was
// when it was met last.
func (s *Jobs) List(ctx context.Context, q job.Query) (job.Page, error) {
	q.Limit = cmp.Or(q.Limit, job.DefaultJobs)
	if err := room.Of(ctx).Add(ctx, s.w.Holds()+int64(q.Limit)*listedBytes); err != nil {
		return job.Page{}, journal.NoRoom(err)
	}
	var page job.Page
	left := q.Limit * listedBytes
	met := map[job.Key]int{} // where in the page
	cursor, err := s.walk(ctx, q, func(r job.Record) bool {
		if i, again := met[r.Key]; again {
			page.Jobs[i] = job.Record{}
			delete(met, r.Key)
		}
		if q.Matches(r) {
			r.Meta = nil
			met[r.Key] = len(page.Jobs)
			page.Jobs = append(page.Jobs, r)
			left -= 512 + r.KeySize() + len(r.Route) + len(r.Detail)
		}
		return len(page.Jobs) < q.Limit && left > 0
	})
	page.Jobs = slices.DeleteFunc(page.Jobs, func(r job.Record) bool { return r.Key == job.Key{} })
	page.Cursor = cursor
	return page, err
}

// walk hands the jobs of the query's db and collection to visit, from the
// query's cursor on, until visit wants no more, the time is over, or there are
// none. It returns where to go on; zero is that this was the end. The meta of a
// record may be missing.
func (s *Jobs) walk(ctx context.Context, q job.Query, visit func(job.Record) (more bool)) (job.Cursor, error) {
	until := time.Now().Add(s.ReadTime)
	at, more := q.Cursor, true
	for ; more && at.Part < s.partitions; at = (job.Cursor{Part: at.Part + 1}) {
		r := &journal.Scanner{JS: s.js, W: s.w, Stream: s.w.Names.JobsStream(at.Part), Subject: s.w.Names.JobSubjectsOf(at.Part, q.DB, q.Collection)}
		if at.Next == 0 {
			_, count, err := s.w.First(ctx, r.Stream, r.Subject)
			if err != nil {
				return at, err
			}
			if count == 0 {
				continue
			}
			at.Narrow = count < journal.Crowd
		}
		r.Narrow = at.Narrow
		var failed error
		next, ended, err := r.Read(ctx, at.Next, until, func(m journal.Stored) bool {
			rec, ok, err := s.jobOf(ctx, at.Part, q, m)
			switch {
			case err != nil:
				failed = err
				return false
			case ok:
				more = visit(rec)
			}
			return more
		})
		if err = cmp.Or(err, failed); err != nil {
			return at, err
		}
		if at.Next = next; !ended {
			return at, nil
		}
	}
	if at.Part < s.partitions {
		return at, nil
	}
	return job.Cursor{}, nil
}

// jobOf reads a job whose key the query selects. It passes over anything else in the
// bucket, as the timer does.
func (s *Jobs) jobOf(ctx context.Context, partition int, q job.Query, m journal.Stored) (r job.Record, ok bool, err error) {
	k, err := s.w.Names.ParseJobSubject(partition, m.Subject)
	if err != nil || !q.MatchesKey(k) || wire.PartitionOf(k, s.partitions) != partition {
		return job.Record{}, false, nil
	}
	if m.Bare {
		r, whole, err := wire.DecodeBare(k, m.Seq, m.Header)
		if whole || err != nil {
			return r, whole, nil
		}
		var found bool
		m, found, err = s.w.SeqOnReplica(ctx, s.w.Names.JobsStream(partition), m.Seq)
		if err != nil || !found { // it has a higher sequence now, if any
			return r, false, err
		}
	}
	r, err = s.Decode(k, m.Seq, m.Header, m.Data)
	return r, err == nil, nil
}
