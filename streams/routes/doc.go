// Package routes keeps the routes, their inboxes, and what holds them back: pauses,
// breakers and rate limits.
//
// Each change of a route is one compare-and-set, and an inbox is created before its
// route. The cache answers what a route is without asking the server, and says that there
// is none only if the leader does.
package routes
