// Package tokens keeps the bearer tokens, all of them in memory, and remembers whether
// there ever were any.
//
// A request is checked without asking JetStream. Authentication that was on stays on,
// whatever is lost: marks outside the bucket of the tokens record it.
package tokens
