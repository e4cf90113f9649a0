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

// readTime bounds how long one request reads. A filter that matches little may need more;
// the page then has fewer jobs, and a cursor.
const readTime = 2 * time.Second

// listedBytes is what one job takes in a list. A page of longer jobs, with ids that are
// all escapes, has fewer.
const listedBytes = 2 << 10

// List returns the jobs that the query selects, without their meta, and where to go on.
// It holds one page in memory, however many jobs there are. A walk from page to page has
// each job that exists throughout the walk at least once. A job that changes during the
// walk may be on a later page again; within a page it appears once, as it was when the
// walk met it last.
func (s *Jobs) List(ctx context.Context, q job.Query) (job.Page, error) {
	q.Limit = cmp.Or(q.Limit, job.DefaultJobs)
	if err := room.Of(ctx).Add(ctx, s.w.Holds()+int64(q.Limit)*listedBytes); err != nil {
		return job.Page{}, journal.NoRoom(err)
	}
	var page job.Page
	left := q.Limit * listedBytes
	met := map[job.Key]int{} // the index in the page
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

// walk hands the jobs of the query's db and collection to visit, from the query's cursor
// on, until visit returns false, the time is over, or there are no more. It returns where
// to go on; a zero cursor means that there are no more. The meta of a record may be
// missing.
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

// jobOf reads a job whose key the query selects. It skips anything else in the bucket, as
// the timer does.
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
		if err != nil || !found { // if it exists, it has a higher sequence now
			return r, false, err
		}
	}
	r, err = s.Decode(k, m.Seq, m.Header, m.Data)
	return r, err == nil, nil
}
