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
	hdrClaim   = "Belfry-Claim" // in a fire: the revision it was published for
	hdrRoute   = job.HeaderRoute
	hdrAttempt = job.HeaderAttempt

	// Records and fires say when the job was redriven, if it was. Fires say when they
	// were published, by the timer's clock. Both are in unix milliseconds.
	hdrRedriven = "Belfry-Redriven"
	hdrFired    = "Belfry-Fired"

	// Everything that a restore writes has "<run>:<number>"; see RestoreTag.
	HeaderRestore = "Belfry-Restore"
	// A dead letter that a restore wrote says when the fire died, in unix milliseconds.
	HeaderDied = "Belfry-Died"
)

// HeaderProbe is the number of a message that shows whether writes work.
const HeaderProbe = "Belfry-Probe"

// These headers have a meaning to JetStream.
const (
	HeaderExpectSubjectSeq = "Nats-Expected-Last-Subject-Sequence"
	HeaderExpectSubject    = "Nats-Expected-Last-Subject-Sequence-Subject"
	HeaderTTL              = "Nats-TTL"
	HeaderRollup           = "Nats-Rollup"
	hdrMsgID               = "Nats-Msg-Id"
	HeaderKVOperation      = "KV-Operation"

	// The answers to direct gets say which message comes before in the answer, and how
	// many are left after it.
	HeaderLastSequence = "Nats-Last-Sequence"
	HeaderNumPending   = "Nats-Num-Pending"
)
