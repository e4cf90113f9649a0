package job

// Inbox is where the fires of a route wait until they are handed over.
type Inbox struct {
	RouteKey

	Type RouteType

	// Orphaned says that the route was deleted; what is left in its inbox
	// goes to DEAD.
	Orphaned bool

	// Waiting says that there are fires in the inbox, as far as is known.
	Waiting bool

	// Concurrency is how many tries of its fires may be under way at once;
	// zero is the default.
	Concurrency int
}
