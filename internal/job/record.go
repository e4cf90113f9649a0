package job

// Record is a job as it is stored: its arming, and its current state. A Record is a
// value. Every change makes a new one, which is written over the old one only if the
// old one is still the newest (compare-and-set).
type Record struct {
	Arming

	Status Status

	// Due is when the timer must look at the job next, in unix milliseconds: at the
	// trigger time, at the next try, or, while the job fires, at the moment from
	// which the claim counts as lost. It is zero once the job is final.
	Due int64

	// Reason and Detail say why the job died, or why the last try failed.
	Reason Reason
	Detail string

	// Finished is when the job reached its final state, in unix milliseconds.
	Finished int64

	// Revision is the record's place in the store; 0 means not stored yet.
	Revision uint64

	// Replaces is the position of the record that this one was written over, so that
	// the timer can forget it. In a claim it says when the try was due, even if the
	// claim was made again.
	Replaces Position

	// Op identifies the write that made the record. It tells a write whose answer was
	// lost from somebody else's.
	Op string

	// Arms says that the fire id of a record was made for the very write that will
	// store it. It is not stored.
	Arms bool

	// Epoch and FiresAfter belong to a claim. Epoch is the fence of the owner who
	// made it. FiresAfter is the last fire that the owner had seen; the claim's own
	// fire must come after it.
	Epoch      uint64
	FiresAfter uint64
}

// Fire returns the try that a claim asks for.
func (r Record) Fire() Fire { return Fire{Arming: r.Arming, Claim: r.Revision} }

// Position is the part of a record that the timer keeps: when it is due and where it
// is stored. The zero Position means no record.
type Position struct {
	Due int64
	Seq uint64
}

// Before orders positions by due time, then by age.
func (p Position) Before(q Position) bool {
	if p.Due != q.Due {
		return p.Due < q.Due
	}
	return p.Seq < q.Seq
}

// Position returns the record's own position.
func (r Record) Position() Position { return Position{Due: r.Due, Seq: r.Revision} }

// Size is roughly the memory that the record takes, in bytes.
func (r Record) Size() int {
	const besideMeta = 512 // its fields and ids, and the entry that holds it
	return len(r.Meta) + besideMeta
}
