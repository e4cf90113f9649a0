// Package tokens keeps the bearer tokens, all of them in memory, and remembers that
// there were some.
//
// A request is judged without asking JetStream. Authentication that was on stays on,
// whatever is lost: marks outside the bucket of the tokens tell of it.
package tokens
