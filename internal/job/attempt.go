package job

import "time"

// MaxResponse is how much of a receiver's answer an [Attempt] keeps, in bytes.
const MaxResponse = 2 << 10

// Attempt is the outcome of one try of a job. It is for people who ask why the job
// did not arrive.
type Attempt struct {
	// Number counts the tries of one fire id from 1.
	Number int

	// FireID is the `webhook-id` that the try carried.
	FireID string

	// Started is when the try began, and Duration is how long it took.
	Started  time.Time
	Duration time.Duration

	// Lateness is how long after its due time the try began.
	Lateness time.Duration

	// Status is the HTTP status of the answer; 0 means there was none.
	Status int

	// Error says in Belfry's own words what went wrong; it is empty if nothing did.
	Error string

	// Response is the beginning of the answer's body, at most [MaxResponse] bytes.
	Response []byte
}
