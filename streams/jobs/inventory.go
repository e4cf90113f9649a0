package jobs

import (
	"cmp"
	"context"
	"slices"
	"time"

	"belfry/internal/job"
	"belfry/internal/room"
	"belfry/streams/journal"
	"belfry/streams/routes"
)

// Places returns the dbs that have jobs or routes, or the collections of one db, and how
// many jobs and routes are in each. The server counts the jobs, in every state, including
// the markers that `nats kv del` leaves. A place is listed where the walk over the jobs
// meets it first, so a page needs only as much memory as it has places, and the walk ends
// as soon as the counts add up. A place whose first jobs arrive during the walk may be
// left out.
func (s *Jobs) Places(ctx context.Context, q job.PlaceQuery) (job.Places, error) {
	t := &tour{Jobs: s, q: q, seen: map[string]bool{}, until: time.Now().Add(s.ReadTime)}
	t.q.Limit = cmp.Or(q.Limit, job.DefaultJobs)
	if err := room.Of(ctx).Add(ctx, s.w.Holds()+int64(t.q.Limit)*listedBytes); err != nil {
		return t.page, journal.NoRoom(err)
	}
	if err := s.routes.Cache.Wait(ctx); err != nil {
		return t.page, journal.Unavailable("couldn't look at the routes", err)
	}
	t.census = s.routes.Cache.Census()
	at := q.Cursor
	var err error
	if at == (job.Cursor{}) {
		if t.left, err = t.all(ctx); err != nil {
			return t.page, err
		}
	}
	for ; at.Part < s.partitions && !t.done; at = (job.Cursor{Part: at.Part + 1}) {
		next, ended, err := t.visitPart(ctx, at)
		if err != nil {
			return t.page, err
		}
		if !ended && !t.done {
			t.page.Cursor = next
			return t.page, nil
		}
	}
	if q.DB == "" {
		at.Part = max(at.Part, s.partitions)
		err = t.visitRoutes(ctx, at)
	}
	return t.page, err
}

// tour computes one page of places.
type tour struct {
	*Jobs
	q     job.PlaceQuery
	page  job.Places
	seen  map[string]bool
	until time.Time
	left  uint64 // jobs of places not met yet; 0 is unknown
	done  bool   // left has dropped to zero

	census map[string]routes.RoutesOf // of the dbs
}

// subjects matches the jobs in the named place.
func (t *tour) subjects(part int, name string) string {
	if t.q.DB == "" {
		return t.w.Names.JobSubjectsOf(part, name, "")
	}
	return t.w.Names.JobSubjectsOf(part, t.q.DB, name)
}

// within matches the jobs in all places.
func (t *tour) within(part int) string {
	if t.q.DB == "" {
		return t.w.Names.AllJobs(part)
	}
	return t.w.Names.JobSubjectsOf(part, t.q.DB, "")
}

// all counts the jobs in all places.
func (t *tour) all(ctx context.Context) (total uint64, err error) {
	for p := range t.partitions {
		_, n, err := t.w.First(ctx, t.w.Names.JobsStream(p), t.within(p))
		if err != nil {
			return 0, err
		}
		total += n
	}
	t.done = total == 0
	return total, nil
}

// count returns how many jobs are in the named place, and where its first job is.
func (t *tour) count(ctx context.Context, name string) (n uint64, at job.Cursor, err error) {
	for p := range t.partitions {
		seq, some, err := t.w.First(ctx, t.w.Names.JobsStream(p), t.subjects(p, name))
		if err != nil {
			return 0, at, err
		}
		if n == 0 && some > 0 {
			at = job.Cursor{Part: p, Next: seq}
		}
		n += some
	}
	return n, at, nil
}

func (t *tour) visitPart(ctx context.Context, at job.Cursor) (job.Cursor, bool, error) {
	r := &journal.Scanner{JS: t.js, W: t.w, Stream: t.w.Names.JobsStream(at.Part), Subject: t.within(at.Part)}
	if at.Next == 0 && t.q.DB != "" {
		_, n, err := t.w.First(ctx, r.Stream, r.Subject)
		if err != nil || n == 0 {
			return at, n == 0, err
		}
		at.Narrow = n < journal.Crowd
	}
	r.Narrow = at.Narrow
	var failed error
	next, ended, err := r.Read(ctx, at.Next, t.until, func(m journal.Stored) bool {
		failed = t.meet(ctx, at.Part, m)
		return failed == nil && !t.done && len(t.page.Places) < t.q.Limit
	})
	return job.Cursor{Part: at.Part, Next: next, Narrow: at.Narrow}, ended, cmp.Or(err, failed)
}

// meet adds the place of a message, if the place is new.
func (t *tour) meet(ctx context.Context, part int, m journal.Stored) error {
	k, err := t.w.Names.ParseJobSubject(part, m.Subject)
	if err != nil || t.q.DB != "" && k.DB != t.q.DB {
		return nil
	}
	name := k.DB
	if t.q.DB != "" {
		name = k.Collection
	}
	if t.seen[name] {
		return nil
	}
	t.seen[name] = true
	n, first, err := t.count(ctx, name)
	if err != nil {
		return err
	}
	// Otherwise the place is on an earlier page.
	if begun := t.q.Cursor; first.Part > begun.Part || first.Part == begun.Part && first.Next >= begun.Next {
		t.tell(name, n)
	}
	if t.left > 0 {
		t.left -= min(n, t.left)
		t.done = t.left == 0
	}
	return nil
}

func (t *tour) tell(name string, n uint64) {
	p := job.Place{Name: name, Jobs: n}
	if t.q.DB == "" {
		p.Routes = t.census[name].Routes
	}
	t.page.Places = append(t.page.Places, p)
}

// visitRoutes adds the dbs that have only routes, in the order of their first routes, as
// if they were in one more partition.
func (t *tour) visitRoutes(ctx context.Context, at job.Cursor) error {
	type found struct {
		db    string
		first uint64
	}
	var all []found
	for db, c := range t.census {
		if c.First >= at.Next {
			all = append(all, found{db, c.First})
		}
	}
	slices.SortFunc(all, func(a, b found) int { return cmp.Compare(a.first, b.first) })
	for _, f := range all {
		if len(t.page.Places) >= t.q.Limit {
			t.page.Cursor = job.Cursor{Part: at.Part, Next: f.first}
			return nil
		}
		if t.seen[f.db] {
			continue
		}
		n, _, err := t.count(ctx, f.db)
		if err != nil {
			return err
		}
		if n == 0 {
			t.tell(f.db, 0)
		}
	}
	return nil
}
