package routes

import "belfry/internal/job"

// Workers ask for fires only where there may be some: a pull that waits at an idle inbox
// costs heartbeats, and there may be ten thousand idle inboxes. So the timers say which
// routes are about to have a fire. The timer that fires says it before it publishes, and
// all nodes learn it from the tail, which brings the claim. A route is busy while a claim
// stands, so that its fire is fetched again if its worker dies. The walk over all inboxes
// finds the rest: fires whose job is over, but which were not acked.

// Notify has stir called with each route that is about to have a fire, or has one that
// nobody works on, until off is called. Only one Notify may be active at a time.
func (in *Inboxes) Notify(stir func(job.RouteKey)) (off func()) {
	in.stir.Store(&stir)
	return func() { in.stir.Store(nil) }
}

// Stirred says that the route may have a fire soon.
func (in *Inboxes) Stirred(k job.RouteKey) {
	if stir := in.stir.Load(); stir != nil {
		(*stir)(k)
	}
}

// Busy reports whether the route has jobs whose fires are not finished, as far as the
// tails know.
func (in *Inboxes) Busy(k job.RouteKey) bool {
	return in.cfg.Claims.Busy(k)
}
