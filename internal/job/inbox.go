package job

// Inbox is where a route's fires wait until they are handed over.
type Inbox struct {
	RouteKey

	Type RouteType

	// Orphaned says that the route was deleted; the fires left in its inbox go to
	// DEAD.
	Orphaned bool

	// Waiting says that the inbox has fires, as far as is known.
	Waiting bool

	// Concurrency is how many tries of its fires may be under way at once; zero means
	// the default.
	Concurrency int
}
