package job

// Entry is one thing that a backup holds. Exactly one field is set.
type Entry struct {
	Token   *Token
	Revoked string // the id of a token that was deleted

	// Job is as it was read, but never firing. Of two entries of one job the
	// one with the higher Revision is the newer.
	Job *Record

	Route *Route

	// Letter and Fire have no place in a stream; a Fire is one of a NATS route
	// that its subscribers have not acked.
	Letter *Letter
	Fire   *Fire

	Attempt *KeptAttempt
}

// KeptAttempt is a try of the job with the key.
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

// Kind tells which field is set; none is the empty kind.
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

// EntryCounts is how many entries of each kind there are.
type EntryCounts map[EntryKind]int
