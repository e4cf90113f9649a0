// Package model is the protocol of firing as a model: what docs/design.md claims
// about it, played through in random schedules. Nothing imports it; its tests play
// it.
//
// A schedule has a bucket, a FIRES stream, a few jobs, clients that create,
// repeat, change and cancel them, two processes that may own the partition, two
// workers, and gates that shut and open. They run the protocol of docs/design.md
// with the transitions and the worker's rule of internal/job themselves. A seed
// decides whose turn it is, what the network does to each request (answered, slow,
// lost, applied with the answer lost, applied long after the sender has given up),
// who crashes, who sleeps through a takeover, and when the clock moves. Then the
// faults end, whoever lives finishes what there is, and the check compares all that
// was ever written, fired, posted and answered with the promises.
//
// Out of its scope: what JetStream itself promises (order, durability, one
// answer to a compare-and-set), records and fires that expire by age, clocks
// that disagree, and batches, which are applied whole or not at all. A worker
// that lives is taken to end its try before its fire is handed out again.
package model
