package job

// Inbox is where the fires of a route wait until they are handed over.
type Inbox struct {
	RouteKey

	Type RouteType

	// Orphaned says that the route was deleted; what is left in its inbox
	// goes to DEAD.
	Orphaned bool
}
