package job

import "slices"

// Reason is a machine-readable reason why a try failed or a job died. [Record.Detail]
// is the text for humans.
type Reason string

// These are the reasons.
const (
	// ReasonFailed means that the try failed; Detail says how.
	ReasonFailed Reason = "try_failed"
	// ReasonExhausted means that the last allowed try failed.
	ReasonExhausted Reason = "attempts_exhausted"
	// ReasonGone means that the receiver answered 410: it wants no more.
	ReasonGone Reason = "receiver_gone"
	// ReasonFinal means that the receiver answered with a status that the route
	// declares final.
	ReasonFinal Reason = "final_status"
	// ReasonMaxAge means that the next try would come later than the route allows.
	ReasonMaxAge Reason = "max_age_reached"
	// ReasonTooLate means that the first try would begin later than the route allows.
	ReasonTooLate Reason = "too_late"
	// ReasonNoRoute means that the route was deleted before the job came due.
	ReasonNoRoute Reason = "route_not_found"
	// ReasonUnacked means that the subscribers of a NATS route let every delivery
	// pass without an ack.
	ReasonUnacked Reason = "deliveries_exhausted"
	// ReasonTerminated means that a subscriber of a NATS route refused the fire
	// (+TERM).
	ReasonTerminated Reason = "terminated"
	// ReasonUnread means that no subscriber of a NATS route took the fire before it
	// was too old to be kept.
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
