package routes

import "belfry/internal/job"

// Workers ask for fires only where there may be some: a pull that waits at an idle
// inbox costs heartbeats, and there may be ten thousand of those. So the timers
// say where something is about to come: the one that fires says it before it
// publishes, and all nodes hear of it from the tail, which brings the claim. A
// route is busy while a claim stands, so that its fire is fetched again if its
// worker dies. What is left is found by the walk over all inboxes: fires whose
// job is over, but which were not acked.

// Notify has stir called with each route that is about to have a fire, or has one
// that nobody works on, until off is called; not for two at a time.
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

// Busy reports whether the route has jobs whose fires are not finished, as far as
// the tails have brought them.
func (in *Inboxes) Busy(k job.RouteKey) bool {
	return in.cfg.Claims.Busy(k)
}
