package job

// Record is a job as it is stored: its arming, and where it stands. A Record is a value;
// every change makes a new one, which is written over the old one only if that is still
// the newest (compare-and-set).
type Record struct {
	Arming

	Status Status

	// Due is when the timer has to look at the job next, in unix
	// milliseconds: the trigger time, the next try, or, while it fires, the
	// moment from which the claim counts as lost. Zero once final.
	Due int64

	// Reason and Detail say why the job died, or why the last try failed.
	Reason Reason
	Detail string

	// Finished is when the final state was reached, in unix milliseconds.
	Finished int64

	// Revision is the record's place in the store; 0 means not stored yet.
	Revision uint64

	// Replaces is what this record was written over, so that the timer can
	// forget it. Of a claim it says when the try was due, also of one that was
	// made anew.
	Replaces Position

	// Op identifies the write that made the record, so that a write whose
	// answer was lost can be told from another's.
	Op string

	// Arms says of a record to be written that its fire id was made for this
	// very write. It is not stored.
	Arms bool

	// Epoch and FiresAfter belong to a claim: the fence of the owner who
	// made it, and the last fire it had seen, behind which its own must be.
	Epoch      uint64
	FiresAfter uint64
}

// Fire returns the try that a claim asks for.
func (r Record) Fire() Fire { return Fire{Arming: r.Arming, Claim: r.Revision} }

// Position is what the timer keeps of a record: when it is due and where it
// is stored. The zero Position is no record.
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

// Size is roughly what the record takes in memory, in bytes.
func (r Record) Size() int {
	const besideMeta = 512 // its fields and ids, and the entry that holds it
	return len(r.Meta) + besideMeta
}
