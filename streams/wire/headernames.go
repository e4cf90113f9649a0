package wire

import "belfry/internal/job"

// Headers of a record in a jobs bucket.
const (
	hdrStatus     = "Belfry-Status"
	hdrDue        = "Belfry-Due"
	hdrTrigger    = "Belfry-Trigger"
	HeaderOp      = "Belfry-Op"
	hdrReplaces   = "Belfry-Replaces" // "<due>:<sequence>"
	HeaderEpoch   = "Belfry-Epoch"
	hdrFiresAfter = "Belfry-Fires-After"
	hdrFinished   = "Belfry-Finished"
)

// Headers of records, fires and dead letters alike.
const (
	hdrFireID  = "Belfry-Fire-Id"
	hdrReason  = "Belfry-Reason"
	hdrDetail  = "Belfry-Detail"
	hdrClaim   = "Belfry-Claim" // a fire's: the revision it was published for
	hdrRoute   = job.HeaderRoute
	hdrAttempt = job.HeaderAttempt

	// Records and fires have when the job was redriven, if it was, and fires when
	// they were published by the timer's clock; in unix milliseconds.
	hdrRedriven = "Belfry-Redriven"
	hdrFired    = "Belfry-Fired"

	// Everything that a restore writes has "<run>:<number>", see RestoreTag.
	HeaderRestore = "Belfry-Restore"
	// A dead letter that a restore has written has when the fire died, in unix
	// milliseconds.
	HeaderDied = "Belfry-Died"
)

// HeaderProbe is the number of a message that shows that writes work.
const HeaderProbe = "Belfry-Probe"

// Headers that JetStream gives a meaning to.
const (
	HeaderExpectSubjectSeq = "Nats-Expected-Last-Subject-Sequence"
	HeaderExpectSubject    = "Nats-Expected-Last-Subject-Sequence-Subject"
	HeaderTTL              = "Nats-TTL"
	HeaderRollup           = "Nats-Rollup"
	hdrMsgID               = "Nats-Msg-Id"
	HeaderKVOperation      = "KV-Operation"

	// Answers to direct gets have the message before in the answer, and how many
	// are left behind it.
	HeaderLastSequence = "Nats-Last-Sequence"
	HeaderNumPending   = "Nats-Num-Pending"
)
