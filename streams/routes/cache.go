package routes

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"belfry/internal/job"
)

// Cache answers what a route is without asking JetStream. It is a moment behind changes
// made by other processes, and at once up to date with changes made by this one. It says
// that there is no such route only when the leader says so. It is safe for concurrent
// use.
type Cache struct {
	routes  *Routes
	changed func() // called after each change

	loaded chan struct{} // closed once all existing routes are known
	once   sync.Once

	mu      sync.RWMutex // guards what follows
	known   map[job.RouteKey]cachedRoute
	deleted uint64 // the revision of the last deletion from the watch
}

type cachedRoute struct {
	job.Route
	deleted bool
	broken  bool // the value under its key is not a route
}

func (r cachedRoute) isRoute() bool { return !r.deleted && !r.broken }

func newRouteCache(r *Routes, changed func()) *Cache {
	return &Cache{routes: r, changed: changed, loaded: make(chan struct{}), known: map[job.RouteKey]cachedRoute{}}
}

// Get returns the route, or [job.ErrRouteNotFound].
func (c *Cache) Get(ctx context.Context, k job.RouteKey) (job.Route, error) {
	return c.get(ctx, k, c.routes)
}

func (c *Cache) get(ctx context.Context, k job.RouteKey, from *Routes) (job.Route, error) {
	if r, ok := c.Peek(k); ok {
		return r, nil
	}
	c.mu.RLock()
	before := c.deleted
	c.mu.RUnlock()
	fresh, err := from.Get(ctx, k)
	if err != nil {
		return fresh, err
	}
	c.mu.RLock()
	current := c.deleted == before
	c.mu.RUnlock()
	if current { // otherwise the route may have been deleted meanwhile
		c.set(fresh)
	}
	return fresh, nil
}

// Peek returns the route if it is known here.
func (c *Cache) Peek(k job.RouteKey) (job.Route, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	r, ok := c.known[k]
	return r.Route, ok && r.isRoute()
}

// IsBroken reports whether the value stored under the route's key is not a route.
func (c *Cache) IsBroken(k job.RouteKey) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.known[k].broken
}

// list returns the routes of a db after the id after, in the order of their ids: up to
// limit of them, and one more if there are more.
func (c *Cache) list(db, after string, limit int) []job.Route {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var all []job.Route
	for k, r := range c.known {
		if k.DB == db && k.ID > after && r.isRoute() {
			all = append(all, r.Route)
		}
	}
	slices.SortFunc(all, func(a, b job.Route) int { return strings.Compare(a.ID, b.ID) })
	return all[:min(len(all), limit+1)]
}

// All returns every route that is known.
func (c *Cache) All() []job.Route {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var all []job.Route
	for _, r := range c.known {
		if r.isRoute() {
			all = append(all, r.Route)
		}
	}
	return all
}

// RoutesOf counts the routes of a db and holds the lowest revision among them.
type RoutesOf struct {
	Routes int
	First  uint64
}

// Census counts the routes of each db.
func (c *Cache) Census() map[string]RoutesOf {
	c.mu.RLock()
	defer c.mu.RUnlock()
	all := map[string]RoutesOf{}
	for k, r := range c.known {
		if !r.isRoute() {
			continue
		}
		n := all[k.DB]
		if n.Routes++; n.First == 0 || r.Revision < n.First {
			n.First = r.Revision
		}
		all[k.DB] = n
	}
	return all
}

// IsLoaded reports whether all existing routes are known.
func (c *Cache) IsLoaded() bool {
	select {
	case <-c.loaded:
		return true
	default:
		return false
	}
}

// Wait blocks until all existing routes are known, or ctx ends.
func (c *Cache) Wait(ctx context.Context) error {
	select {
	case <-c.loaded:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// set stores a route that was written, unless a newer revision is known.
func (c *Cache) set(r job.Route) { c.learn(cachedRoute{Route: r}) }

func (c *Cache) learn(r cachedRoute) {
	c.mu.Lock()
	newer := c.known[r.RouteKey].Revision < r.Revision
	if newer {
		c.known[r.RouteKey] = r
	}
	c.mu.Unlock()
	if newer {
		c.changed()
	}
}

// Drop marks a route as deleted, unless the watch has seen the deletion already. The mark
// keeps a late watch from bringing the old route back; it goes when the watch has seen
// the deletion, too.
func (c *Cache) Drop(k job.RouteKey, revision uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if revision > c.deleted && c.known[k].Revision < revision {
		c.known[k] = cachedRoute{Route: job.Route{RouteKey: k, Revision: revision}, deleted: true}
	}
}

// Follow keeps the cache up to date until ctx ends.
func (c *Cache) Follow(ctx context.Context) {
	c.routes.watch(ctx, func(r *job.Route, found error) {
		switch {
		case r == nil:
			c.once.Do(func() { close(c.loaded) })
		case found == nil:
			c.set(*r)
		case errors.Is(found, job.ErrNotARoute):
			c.routes.cfg.Log.Error("what is stored under a route's key is no route; its jobs wait", "db", r.DB, "route", r.ID, "error", found)
			c.learn(cachedRoute{Route: *r, broken: true})
		default:
			c.routes.Breakers.forget(r.RouteKey)
			c.routes.Rates.forget(r.RouteKey)
			c.forget(r.RouteKey, r.Revision)
		}
	})
}

// forget removes a route whose deletion the watch has seen.
func (c *Cache) forget(k job.RouteKey, revision uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deleted = max(c.deleted, revision)
	if c.known[k].Revision <= revision {
		delete(c.known, k)
	}
}

// Size counts the entries: existing routes, marks of deleted ones and broken ones.
func (c *Cache) Size() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.known)
}
