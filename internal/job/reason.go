package job

import "slices"

// Reason is why a try failed or a job died, for robots. [Record.Detail] says
// it for people.
type Reason string

// The reasons.
const (
	// ReasonFailed: the try failed; Detail says how.
	ReasonFailed Reason = "try_failed"
	// ReasonExhausted: the last allowed try failed.
	ReasonExhausted Reason = "attempts_exhausted"
	// ReasonGone: the receiver answered 410, it wants no more.
	ReasonGone Reason = "receiver_gone"
	// ReasonFinal: the receiver answered with a status that the route says is
	// final.
	ReasonFinal Reason = "final_status"
	// ReasonMaxAge: the next try would come later than the route allows.
	ReasonMaxAge Reason = "max_age_reached"
	// ReasonTooLate: the first try would begin later than the route allows.
	ReasonTooLate Reason = "too_late"
	// ReasonNoRoute: the route was deleted before the job came due.
	ReasonNoRoute Reason = "route_not_found"
	// ReasonUnacked: the subscribers of a NATS route let every delivery pass
	// without an ack.
	ReasonUnacked Reason = "deliveries_exhausted"
	// ReasonTerminated: a subscriber of a NATS route refused the fire (+TERM).
	ReasonTerminated Reason = "terminated"
	// ReasonUnread: no subscriber of a NATS route took the fire before it was
	// too old to be kept.
	ReasonUnread Reason = "unread"
)

// Reasons lists every reason.
func Reasons() []Reason {
	return []Reason{
		ReasonFailed, ReasonExhausted, ReasonGone, ReasonFinal, ReasonMaxAge, ReasonTooLate,
		ReasonNoRoute, ReasonUnacked, ReasonTerminated, ReasonUnread,
	}
}

// Known reports whether r is one of the reasons.
func (r Reason) Known() bool { return slices.Contains(Reasons(), r) }
