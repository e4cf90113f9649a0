package routes

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"belfry/internal/job"
)

// Cache answers what a route is without asking JetStream, a moment behind
// changes made by other processes and at once behind those of this one. That
// there is no such route it says only when the leader does. It is safe for
// concurrent use.
type Cache struct {
	routes  *Routes
	changed func() // told of each change

	loaded chan struct{} // closed once every route there was is known
	once   sync.Once

	mu      sync.RWMutex // guards what follows
	known   map[job.RouteKey]cachedRoute
	deleted uint64 // revision of the last deletion that the watch has brought
}

type cachedRoute struct {
	job.Route
	deleted bool
	broken  bool // something that is no route is stored under its key
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
	if current { // else it may be the one that was deleted meanwhile
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

// IsBroken reports whether something that is no route is stored under the key.
func (c *Cache) IsBroken(k job.RouteKey) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.known[k].broken
}

// list returns the routes of a db behind the id after, in the order of their
// ids, up to limit of them and one more if there are more.
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

// RoutesOf is how many routes a db has, and the revision of the first.
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

// IsLoaded reports whether every route there was is known.
func (c *Cache) IsLoaded() bool {
	select {
	case <-c.loaded:
		return true
	default:
		return false
	}
}

// Wait blocks until every route there was is known, or ctx ends.
func (c *Cache) Wait(ctx context.Context) error {
	select {
	case <-c.loaded:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// set takes in a route that was written, unless something newer is known.
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

// Drop takes in that a route was deleted. The mark keeps a late watcher from
// bringing the old route back, and goes when the watcher has seen it too, if it
// has not already.
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

// forget takes in the deletion of a route from the watch.
func (c *Cache) forget(k job.RouteKey, revision uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deleted = max(c.deleted, revision)
	if c.known[k].Revision <= revision {
		delete(c.known, k)
	}
}

// Size counts what is known of routes that there are or were.
func (c *Cache) Size() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.known)
}
