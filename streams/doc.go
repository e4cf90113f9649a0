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
// asset (the streams, and their settings), audit (compares what is there with what it
// should be, and mends it), and then this one. Each file here is in one room:
//
//   - the store: store.go, config.go, setup.go, beside.go, makeroom.go,
//     notready.go, disk.go
//   - what was made: survey.go, refusal.go, damage.go, replicas.go
//   - other hands: foreign.go, auditing.go, removed.go
// history), tokens (bearer tokens), backup (all of it, read and written back),
// timer (owns one partition and fires its jobs),
// manifest (what Belfry has made, written down), asset (the streams, and their
// settings), audit (compares what is there with what it should be, and mends it), setup
// (opens a store), and then this one. Each file here is in one room:
//
//   - the store: store.go, config.go, opened.go, makeroom.go
//   - other hands: auditing.go, removed.go
//   - leases: leases.go, partition.go, presence.go, clocks.go, balance.go, ready.go
//   - dead letters: bury.go, burybox.go, unread.go, letters.go, redrive.go
package streams
