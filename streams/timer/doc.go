// Package timer owns one partition and fires its jobs.
//
// A [Timer] follows the partition's bucket, keeps a queue of what is due when, and
// takes each due job through claim, publish and, for a NATS route, finish. One that
// is to own its partition takes a fence first, and settles what the owner before it
// left. No claim is published twice, however many timers take themselves for the owner.
// Who is to own a partition is for others to say.
package timer
