package api_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"belfry/internal/job"
)

// store is all the stores in memory, with just enough of their rules. fail, when
// set, is called first and its error returned.
type store struct {
	fail func(context.Context) error

	mu       sync.Mutex // guards what follows
	revision uint64
	jobs     map[job.Key]job.Record
	routes   map[job.RouteKey]job.Route
	letters  []job.Letter
	attempts map[job.Key][]job.Attempt
	tokens   map[string]job.Token
	inUse    bool // there was a token
	unknown  bool // the tokens are not known yet

	backups backups
}

func newStore() *store {
	return &store{
		fail:   func(context.Context) error { return nil },
		jobs:   map[job.Key]job.Record{},
		routes: map[job.RouteKey]job.Route{},
		tokens: map[string]job.Token{},
	}
}

// with runs f on the store, unless it is to fail.
func (s *store) with(ctx context.Context, f func() error) error {
	if err := s.fail(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return f()
}

type jobs struct{ *store }

func (s jobs) Create(ctx context.Context, j job.Job) error {
	return s.with(ctx, func() error {
		if _, ok := s.routes[j.RouteKey()]; !ok {
			return fmt.Errorf("%w: route is %q; an existing one is accepted", job.ErrRouteNotFound, j.Route)
		}
		if r, ok := s.jobs[j.Key]; ok && !r.SameContent(j) {
			return job.ErrJobExists
		}
		return s.put(job.New(j, "fire"), nil)
	})
}

func (s jobs) Get(ctx context.Context, key job.Key) (r job.Record, err error) {
	err = s.with(ctx, func() (err error) { r, err = s.get(key); return err })
	return r, err
}

func (s jobs) Update(ctx context.Context, j job.Job, expect uint64) error {
	return s.with(ctx, func() error {
		r, err := s.at(j.Key, expect)
		if err == nil {
			r, err = r.Change(j, "fire")
		}
		return s.put(r, err)
	})
}

func (s jobs) Cancel(ctx context.Context, key job.Key, expect uint64) error {
	return s.with(ctx, func() error {
		r, err := s.at(key, expect)
		if err == nil {
			r, err = r.Cancel(trigger)
		}
		return s.put(r, err)
	})
}

func (s jobs) Fire(ctx context.Context, key job.Key) error {
	return s.with(ctx, func() error {
		r, err := s.get(key)
		if err == nil {
			r, err = r.Hasten(trigger)
		}
		return s.put(r, err)
	})
}

func (s jobs) get(key job.Key) (job.Record, error) {
	r, ok := s.jobs[key]
	if !ok {
		return job.Record{}, job.ErrJobNotFound
	}
	return r, nil
}

// at is get for a job that must be at the revision.
func (s jobs) at(key job.Key, expect uint64) (job.Record, error) {
	r, err := s.get(key)
	if err == nil && expect != 0 && r.Revision != expect {
		err = job.ErrRevision
	}
	return r, err
}

func (s jobs) put(r job.Record, err error) error {
	if err == nil {
		s.revision++
		r.Revision = s.revision
		s.jobs[r.Key] = r
	}
	return err
}

// List goes through the jobs in the order of their revisions.
func (s jobs) List(ctx context.Context, q job.Query) (page job.Page, err error) {
	if q.Limit == 0 {
		q.Limit = job.DefaultJobs
	}
	err = s.with(ctx, func() error {
		all := slices.SortedFunc(maps.Values(s.jobs), func(a, b job.Record) int { return cmp.Compare(a.Revision, b.Revision) })
		for _, r := range all {
			if r.Revision < q.Cursor.Next || !q.Matches(r) {
				continue
			}
			if len(page.Jobs) == q.Limit {
				page.Cursor = job.Cursor{Next: r.Revision}
				break
			}
			page.Jobs = append(page.Jobs, r)
		}
		return nil
	})
	return page, err
}

func (s jobs) CancelEach(ctx context.Context, q job.Query, dry bool) (run job.CancelRun, err error) {
	page, err := s.List(ctx, q)
	run.Cursor = page.Cursor
	for _, r := range page.Jobs {
		switch next, err := r.Cancel(trigger); {
		case r.Status == job.Firing:
			run.Skipped++
		case err == nil:
			run.Cancelled++
			if !dry {
				s.put(next, nil)
			}
		}
	}
	return run, err
}

func (s jobs) Places(ctx context.Context, q job.PlaceQuery) (p job.Places, err error) {
	err = s.with(ctx, func() error {
		counts := map[string]uint64{}
		for k := range s.jobs {
			if q.DB == "" {
				counts[k.DB]++
			} else if q.DB == k.DB {
				counts[k.Collection]++
			}
		}
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			p.Places = append(p.Places, job.Place{Name: name, Jobs: counts[name]})
		}
		if q.Limit > 0 && len(p.Places) > q.Limit {
			p.Places, p.Cursor = p.Places[:q.Limit], job.Cursor{Next: 7, Narrow: true}
		}
		return nil
	})
	return p, err
}

type routes struct{ *store }

func (s routes) Create(ctx context.Context, r job.Route) error {
	return s.with(ctx, func() error {
		old, ok := s.routes[r.RouteKey]
		r, err := r.Over(old)
		if r.Revision = old.Revision; r.Revision == 0 {
			r.Revision = 1
		}
		if err == nil && ok && !old.SameContent(r) {
			err = job.ErrRouteExists
		}
		if err == nil {
			s.routes[r.RouteKey] = r
		}
		return err
	})
}

func (s routes) Get(ctx context.Context, key job.RouteKey) (r job.Route, err error) {
	err = s.with(ctx, func() error {
		var ok bool
		if r, ok = s.routes[key]; !ok {
			return job.ErrRouteNotFound
		}
		r.Subscription = job.Subscription{Stream: "FIRES", Subject: "fires.x", Consumer: "x"}
		return nil
	})
	return r, err
}

func (s routes) Rotate(ctx context.Context, key job.RouteKey, secret string, grace time.Duration) (r job.Route, err error) {
	err = s.with(ctx, func() error {
		old, ok := s.routes[key]
		if !ok {
			return job.ErrRouteNotFound
		}
		if r, err = old.Rotate(secret, grace, trigger); err != nil {
			return err
		}
		s.routes[key] = r
		return nil
	})
	return r, err
}

func (s routes) Pause(ctx context.Context, key job.RouteKey, until int64) error {
	return s.with(ctx, func() error {
		r, ok := s.routes[key]
		if !ok {
			return job.ErrRouteNotFound
		}
		r.Paused, r.PausedUntil = until == 0, until
		s.routes[key] = r
		return nil
	})
}

func (s routes) Resume(ctx context.Context, key job.RouteKey) error {
	return s.with(ctx, func() error {
		r, ok := s.routes[key]
		if !ok {
			return job.ErrRouteNotFound
		}
		r.Paused, r.PausedUntil = false, 0
		s.routes[key] = r
		return nil
	})
}

func (s routes) Replace(ctx context.Context, r job.Route, expect uint64) error {
	return s.with(ctx, func() error {
		old, ok := s.routes[r.RouteKey]
		switch {
		case !ok:
			return job.ErrRouteNotFound
		case old.Type != r.Type:
			return job.ErrRouteTypeFixed
		case expect != 0 && expect != old.Revision:
			return job.ErrRevision
		}
		r, err := r.Over(old)
		if err == nil {
			r.Revision = old.Revision + 1
			s.routes[r.RouteKey] = r
		}
		return err
	})
}

func (s routes) List(ctx context.Context, q job.RouteQuery) (page job.RoutePage, err error) {
	err = s.with(ctx, func() error {
		for _, key := range slices.SortedFunc(maps.Keys(s.routes), func(a, b job.RouteKey) int { return cmp.Compare(a.ID, b.ID) }) {
			if key.DB != q.DB || key.ID <= q.After {
				continue
			}
			if page.More = len(page.Routes) == q.Limit && q.Limit > 0; page.More {
				break
			}
			page.Routes = append(page.Routes, s.routes[key])
		}
		return nil
	})
	return page, err
}

func (s routes) Delete(ctx context.Context, key job.RouteKey, expect uint64) error {
	return s.with(ctx, func() error {
		r, ok := s.routes[key]
		switch {
		case !ok:
			return job.ErrRouteNotFound
		case expect != 0 && expect != r.Revision:
			return job.ErrRevision
		}
		delete(s.routes, key)
		return nil
	})
}
