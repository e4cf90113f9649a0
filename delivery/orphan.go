package delivery

import (
	"context"
	"time"

	"belfry/internal/loglimit"
)

// wait is how long to wait for fires. For an orphaned inbox it is short enough to
// notice in time that the inbox is settled.
func (p *pool) wait() time.Duration {
	p.run.mu.Lock()
	defer p.run.mu.Unlock()
	if p.orphaned {
		return min(fetchWait, p.run.worker.OrphanGrace/4)
	}
	return fetchWait
}

// abandon removes the inbox of a deleted route once it has been settled for
// long enough, and reports whether the pool is to end.
func (p *pool) abandon(ctx context.Context) bool {
	p.run.mu.Lock()
	orphaned := p.orphaned
	p.run.mu.Unlock()
	if !orphaned {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	settled, err := p.run.worker.Inboxes.Settled(ctx, p.inbox.RouteKey)
	if err != nil {
		p.log.Debug("the inbox of a deleted route could not be looked at", "error", err)
	}
	if !p.settledLong(err == nil && settled) {
		return false
	}
	if err := p.run.worker.Inboxes.Remove(ctx, p.inbox.RouteKey); err != nil {
		loglimit.Warn(p.log, "the inbox of a deleted route could not be removed", "error", err)
		return false
	}
	return p.retire()
}

// settledLong notes whether the inbox is settled now, and reports whether it has been
// for the orphan grace.
func (p *pool) settledLong(settled bool) bool {
	p.run.mu.Lock()
	defer p.run.mu.Unlock()
	switch {
	case !settled || !p.orphaned:
		p.settledSince = time.Time{}
		return false
	case p.settledSince.IsZero():
		p.settledSince = time.Now()
	}
	return time.Since(p.settledSince) >= p.run.worker.OrphanGrace
}

// retire removes the pool, whose inbox was deleted, unless its route has been created
// again meanwhile.
func (p *pool) retire() bool {
	p.run.mu.Lock()
	defer p.run.mu.Unlock()
	if !p.orphaned {
		return false
	}
	if p.run.pools[p.inbox.RouteKey] == p {
		delete(p.run.pools, p.inbox.RouteKey)
	}
	p.log.Info("the inbox of a deleted route is settled and was removed")
	return true
}
