package job

// Entry is one thing in a backup. Exactly one field is set.
type Entry struct {
	Token   *Token
	Revoked string // the id of a token that was deleted

	// Job is the record as it was read, but never firing. If a job has two entries,
	// the one with the higher Revision is newer.
	Job *Record

	Route *Route

	// Letter and Fire have no place in a stream. Fire is a fire of a NATS route that
	// the subscribers have not acked.
	Letter *Letter
	Fire   *Fire

	Attempt *KeptAttempt
}

// KeptAttempt is a try of the job with the given key.
type KeptAttempt struct {
	Key
	Attempt
}

// EntryKind names what an [Entry] is.
type EntryKind string

// The kinds.
const (
	TokenEntry   EntryKind = "token"
	RevokedEntry EntryKind = "revoked_token"
	JobEntry     EntryKind = "job"
	RouteEntry   EntryKind = "route"
	LetterEntry  EntryKind = "dead_letter"
	AttemptEntry EntryKind = "attempt"
	FireEntry    EntryKind = "fire"
)

// EntryKinds lists every kind, in the order of a backup.
func EntryKinds() []EntryKind {
	return []EntryKind{TokenEntry, RevokedEntry, JobEntry, RouteEntry, LetterEntry, AttemptEntry, FireEntry}
}

// Kind returns the kind of the field that is set, or the empty kind if none is.
func (e Entry) Kind() EntryKind {
	switch {
	case e.Token != nil:
		return TokenEntry
	case e.Revoked != "":
		return RevokedEntry
	case e.Job != nil:
		return JobEntry
	case e.Route != nil:
		return RouteEntry
	case e.Letter != nil:
		return LetterEntry
	case e.Attempt != nil:
		return AttemptEntry
	case e.Fire != nil:
		return FireEntry
	}
	return ""
}

// EntryCounts is the number of entries of each kind.
type EntryCounts map[EntryKind]int
