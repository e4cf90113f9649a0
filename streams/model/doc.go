// Package model is a model of the firing protocol. It plays the claims of docs/design.md
// through in random schedules. Nothing imports it; its tests play it.
//
// A schedule has a bucket, a FIRES stream, a few jobs, clients that create, repeat,
// change and cancel them, two processes that may own the partition, two workers, and
// gates that shut and open. They run the protocol of docs/design.md with the real
// transitions and the real worker's rule of internal/job. A seed decides whose turn it
// is, what the network does to each request (answered, slow, lost, applied with the
// answer lost, applied long after the sender has given up), who crashes, who sleeps
// through a takeover, and when the clock moves. Then the faults end, the live processes
// finish what there is, and the check compares everything that was ever written, fired,
// posted and answered with the promises.
//
// Out of scope are JetStream's own promises (order, durability, one answer to a
// compare-and-set), records and fires that expire by age, clocks that disagree, and
// batches, which are applied whole or not at all. The model assumes that a live worker
// ends its try before its fire is redelivered.
package model
