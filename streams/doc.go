// Package streams keeps Belfry's state in NATS JetStream: jobs and routes in KV buckets,
// fires and dead letters in streams, and the timer that moves jobs from one to the other.
//
// It promises four things. Whatever it acknowledged is stored. Every state change of a
// job is one compare-and-set whose outcome is reported truthfully. A job never fires
// before its time. No claim of a job is published twice. It does not deliver: it hands
// fires to the workers of webhook routes, and leaves those of NATS routes to their
// subscribers.
//
// It builds on the packages below, in this order: wire (names, and stored formats),
// journal (writes and reads), due (what to load and fire next), routes (routes and what
// holds them back), jobs (the records of jobs, and their history), deadletter
// (undeliverable fires), tokens (bearer tokens), backup (everything, read and written
// back), timer (owns one partition and fires its jobs), lease (which node tries to own
// which partition), manifest (a written record of what Belfry created), asset (the
// streams, and their settings), fires (looks after FIRES), audit (compares the store with
// its intended state, and mends it), setup (opens a store), and then this one, which
// wires them.
package streams
