package job

// Status is where a job stands in its life:
//
//	scheduled ──due──▶ firing ──delivered──▶ delivered   (REST: the receiver said 2xx)
//	    │                │  └──NATS route──▶ published   (in FIRES; the subscriber acks there)
//	    │                ├──put back──────▶ scheduled    (its route is paused, or its breaker open)
//	    │                ├──try failed────▶ retrying ──due──▶ firing …
//	    │                ├──gave up───────▶ dead         (then also in DEAD)
//	    │                └──too late──────▶ expired      (the route's staleness limit)
//	    ├──too late, NATS──────────────────────▶ expired
//	    └──DELETE──▶ cancelled
//
// A retrying job can be changed and cancelled like a scheduled one, and both
// can be made due at once; a firing one that was never finished is claimed
// anew; and a final one can be armed again by creating it again, or by
// redriving its dead letter. Every arrow is one compare-and-set.
type Status string

// The statuses of a job.
const (
	Scheduled Status = "scheduled" // waits for its trigger time
	Firing    Status = "firing"    // claimed by the timer; a try is under way
	Retrying  Status = "retrying"  // a try failed; waits for the next one
	Delivered Status = "delivered" // final: the receiver answered 2xx
	Published Status = "published" // final: handed to the subscribers of a NATS route
	Dead      Status = "dead"      // final: given up, with a [Reason]
	Expired   Status = "expired"   // final: too late to be worth delivering
	Cancelled Status = "cancelled" // final: deleted before it fired
)

// next is the one table of allowed transitions; see the diagram at [Status].
var next = map[Status][]Status{
	Scheduled: {Scheduled, Firing, Expired, Cancelled},
	Retrying:  {Scheduled, Retrying, Firing, Cancelled},
	Firing:    {Firing, Scheduled, Delivered, Published, Retrying, Dead, Expired},
	Delivered: {Scheduled},
	Published: {Scheduled},
	Dead:      {Scheduled},
	Expired:   {Scheduled},
	Cancelled: {Scheduled},
}

// Statuses lists every status, in the order of a job's life.
func Statuses() []Status {
	return []Status{Scheduled, Firing, Retrying, Delivered, Published, Dead, Expired, Cancelled}
}

// Known reports whether s is one of the statuses.
func (s Status) Known() bool { _, ok := next[s]; return ok }

// Waiting reports whether the job waits for the timer: it can still be
// changed and cancelled.
func (s Status) Waiting() bool { return s == Scheduled || s == Retrying }

// Live reports whether the job is not finished.
func (s Status) Live() bool { return s.Waiting() || s == Firing }

// Final reports whether the job is finished.
func (s Status) Final() bool { return s.Known() && !s.Live() }

// CanBecome reports whether the diagram has an arrow from s to t.
func (s Status) CanBecome(t Status) bool {
	for _, n := range next[s] {
		if n == t {
			return true
		}
	}
	return false
}
