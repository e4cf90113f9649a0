// Package timer owns one partition and fires its jobs.
//
// A [Timer] follows the partition's bucket, keeps a queue of due times, and takes each
// due job through claim, publish and, for a NATS route, finish. A timer that is to own
// its partition first takes a fence and settles what the previous owner left. No claim is
// published twice, however many timers take themselves for the owner. Other packages
// decide who owns a partition.
package timer
