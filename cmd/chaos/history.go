package main

import "time"

// history is what a run did, and the results.
type history struct {
	jobs     []told
	arrivals []arrival
	fires    []fire

	// putBack says that routes were paused or their breakers tripped, so that
	// fires of REST routes may have been put back untried.
	putBack bool

	// purged says that fires of REST routes were removed from FIRES.
	purged bool
}

// told is one job as its client knows it.
type told struct {
	id    string
	route string
	asked []asked

	// final is the status in which the API showed the job at the end, or the answer it
	// gave instead.
	final string
}

// asked is one step that was carried out.
type asked struct {
	op      op
	content int       // the content it gave the job: the number of the step
	due     time.Time // the trigger time of that content
	outcome outcome
	detail  string // the last answer
	sent    time.Time
	ended   time.Time
	sends   int
}

// outcome is what a client finally knows of its request.
type outcome string

const (
	acked   outcome = "acknowledged" // answered 200
	tooLate outcome = "too late"     // refused: the job has begun to fire, or has fired
	unknown outcome = "unknown"      // a send was not answered, and no later one was answered 200
	notDone outcome = "not done"     // only refused: nothing was changed
	wrong   outcome = "wrong"        // an answer that no request of the workload deserves
)

// arrival is one fire as a receiver got it.
type arrival struct {
	job     string
	content int
	fireID  string
	attempt string
	trigger int64  // as its header says, in unix milliseconds
	seq     uint64 // its message in FIRES; 0 over HTTP
	at      time.Time
	refused bool // the receiver answered 503
	forged  bool // the signature was not made with the route's secret
}

// fire is one message in FIRES.
type fire struct {
	seq     uint64
	job     string
	content int
	fireID  string
	attempt string
	claim   string
}
