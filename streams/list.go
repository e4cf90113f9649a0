package streams

import (
	"cmp"
	"context"
	"time"

	"belfry/internal/job"
)

// readTime bounds the reading of one request. A filter that matches little may
// need more; then the page has fewer jobs, and a cursor.
const readTime = 2 * time.Second

// List returns jobs that the query selects, without their meta, and where to go
// on. It holds one page in memory, however many jobs there are. A walk from
// page to page has each job that is there all the time at least once, and one
// that changes meanwhile maybe again.
func (s *Jobs) List(ctx context.Context, q job.Query) (job.Page, error) {
	q.Limit = cmp.Or(q.Limit, job.DefaultJobs)
	var page job.Page
	cursor, err := s.walk(ctx, q, func(r job.Record) bool {
		if q.Matches(r) {
			r.Meta = nil
			page.Jobs = append(page.Jobs, r)
		}
		return len(page.Jobs) < q.Limit
	})
	page.Cursor = cursor
	return page, err
}

// walk hands the jobs of the query's db and collection to visit, from the
// query's cursor on, until visit wants no more, the time is over, or there are
// none. It returns where to go on; zero is that this was the end.
func (s *Jobs) walk(ctx context.Context, q job.Query, visit func(job.Record) (more bool)) (job.Cursor, error) {
	until := time.Now().Add(s.readTime)
	at, more := q.Cursor, true
	for ; more && at.Part < s.partitions; at = (job.Cursor{Part: at.Part + 1}) {
		r := &reader{js: s.js, w: s.w, stream: jobsStream(at.Part), subject: jobSubjectsOf(at.Part, q.DB, q.Collection)}
		if at.Next == 0 {
			_, count, err := s.w.first(ctx, r.stream, r.subject)
			if err != nil {
				return at, err
			}
			if count == 0 {
				continue
			}
			at.Narrow = count < crowd
		}
		r.narrow = at.Narrow
		next, ended, err := r.read(ctx, at.Next, until, func(m stored) bool {
			if rec, ok := s.jobOf(at.Part, q, m); ok {
				more = visit(rec)
			}
			return more
		})
		if err != nil {
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

// jobOf reads a job whose key the query selects. What else there is in the
// bucket is passed over, as the timer leaves it alone.
func (s *Jobs) jobOf(partition int, q job.Query, m stored) (job.Record, bool) {
	k, err := parseJobSubject(partition, m.Subject)
	if err != nil || !q.MatchesKey(k) || partitionOf(k, s.partitions) != partition {
		return job.Record{}, false
	}
	r, err := s.decode(k, m.Seq, m.Header, m.Data)
	return r, err == nil
}
