// Package streams keeps Belfry's state in NATS JetStream: jobs and routes in
// KV buckets, fires and dead letters in streams, and the timer that moves jobs
// from one to the other.
//
// It promises that what it acknowledged is stored; that every state change of
// a job is one compare-and-set whose outcome is told truthfully; that a job
// fires never before its time; and that no claim of a job is published twice.
// It does not deliver: it hands fires to the workers of webhook routes, and
// leaves those of NATS routes to their subscribers.
//
// The packages below are its lower floors, in this order: wire (names, and what is
// stored), journal (writes and reads), due (what to load and fire next),
// routes (routes and what holds them back), jobs (the records of jobs, and their
// history), deadletter (what nobody took), tokens (bearer tokens), backup (all of it,
// read and written back), timer (owns one partition and fires its jobs), lease (which
// node tries to own which partition), manifest (what Belfry has made, written down),
// asset (the streams, and their settings), fires (looks after FIRES), audit (compares
// what is there with what it should be, and mends it), setup (opens a store), and then
// this one, which wires them.
package streams
