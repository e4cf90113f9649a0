package job

import "time"

// MaxResponse is how much of a receiver's answer an [Attempt] keeps, in bytes.
const MaxResponse = 2 << 10

// Attempt is what became of one try of a job, for people who ask why it did
// not arrive.
type Attempt struct {
	// Number counts the tries of one fire id from 1.
	Number int

	// FireID is the `webhook-id` that the try carried.
	FireID string

	// Started is when the try began, Duration how long it took.
	Started  time.Time
	Duration time.Duration

	// Lateness is how long after its due time the try began.
	Lateness time.Duration

	// Status is the HTTP status of the answer; 0 is none.
	Status int

	// Error says in Belfry's own words what went wrong; empty is nothing.
	Error string

	// Response is the beginning of the answer's body, at most [MaxResponse]
	// bytes.
	Response []byte
}
