package client

import (
	"encoding/json"
	"errors"
)

// Status says where a job stands.
type Status string

// The statuses. The last five are final.
const (
	StatusScheduled Status = "scheduled"
	StatusFiring    Status = "firing"
	StatusRetrying  Status = "retrying"
	StatusDelivered Status = "delivered"
	StatusPublished Status = "published"
	StatusDead      Status = "dead"
	StatusExpired   Status = "expired"
	StatusCancelled Status = "cancelled"
)

// NewJob is a job to create: the body of POST /job/{db}/{collection}, and a line
// of POST /bulk/{db}/{collection}.
type NewJob struct {
	ID          string `json:"id"`
	TriggerTime int64  `json:"trigger_time"`
	Route       string `json:"route"` // its recipient, of the same db

	// Meta is any JSON. [Encode] and [Client.Do] send each byte of it as it is;
	// [json.Marshal] does not. Empty is null.
	Meta json.RawMessage `json:"meta,omitempty"`
}

// JobChange is what a job is replaced with: the body of PUT
// /job/{db}/{collection}/{id}.
type JobChange struct {
	ID          string          `json:"id,omitempty"` // as in the path
	TriggerTime int64           `json:"trigger_time"`
	Route       string          `json:"route"`
	Meta        json.RawMessage `json:"meta,omitempty"` // like the Meta of [NewJob]
}

func (j NewJob) encode() ([]byte, error) {
	meta := j.Meta
	j.Meta = nil
	return withMeta(j, meta)
}

func (j JobChange) encode() ([]byte, error) {
	meta := j.Meta
	j.Meta = nil
	return withMeta(j, meta)
}

// withMeta encodes a job without its meta, and then adds the meta byte for byte.
func withMeta(job any, meta json.RawMessage) ([]byte, error) {
	data, err := json.Marshal(job)
	switch {
	case err != nil || len(meta) == 0:
		return data, err
	case !json.Valid(meta):
		return nil, errors.New("the meta of the job is not JSON")
	}
	data = append(data[:len(data)-1], `,"meta":`...)
	return append(append(data, meta...), '}'), nil
}

// Job is a job: the answer to GET /job/{db}/{collection}/{id}.
type Job struct {
	ListedJob
	Meta json.RawMessage `json:"meta"` // byte for byte as it was sent
}

// ListedJob is a job without its meta, as lists have it.
type ListedJob struct {
	ID              string `json:"id"`
	TriggerTime     int64  `json:"trigger_time"`
	Route           string `json:"route"`
	DB              string `json:"db"`
	Collection      string `json:"collection"`
	Status          Status `json:"status"`
	Attempt         int    `json:"attempt"`                     // how many attempts have begun
	NextAttemptTime int64  `json:"next_attempt_time,omitempty"` // of a retrying job
	Reason          string `json:"reason,omitempty"`            // why it died, or why its last attempt failed: machine-readable
	Detail          string `json:"detail,omitempty"`            // the same for humans
	FinishedTime    int64  `json:"finished_time,omitempty"`
}

// Jobs is a page of jobs: the answer to GET /job/{db} and GET
// /job/{db}/{collection}.
type Jobs struct {
	Jobs   []ListedJob `json:"jobs"`
	Cursor string      `json:"cursor,omitempty"` // where to continue; empty at the end
}

// JobQuery selects jobs: the query of GET /job/{db} and GET
// /job/{db}/{collection}. A field that is left out selects all.
type JobQuery struct {
	Status    Status `json:"status,omitempty"`
	Route     string `json:"route,omitempty"`
	DueAfter  *int64 `json:"due_after,omitempty"`  // with a trigger_time at or after this
	DueBefore *int64 `json:"due_before,omitempty"` // with a trigger_time before this
	Prefix    string `json:"prefix,omitempty"`     // with an id that begins with this
	Limit     int    `json:"limit,omitempty"`      // how many at most
	Cursor    string `json:"cursor,omitempty"`     // from the last answer
}

// Cancel selects the jobs to cancel: the body of POST /cancel/{db} and POST
// /cancel/{db}/{collection}. It needs a filter, or All.
type Cancel struct {
	JobQuery
	DryRun bool `json:"dry_run,omitempty"` // only count
	All    bool `json:"all,omitempty"`
}

func (c Cancel) from(cursor string) any {
	c.Cursor = cursor
	return c
}

// Cancelled is the answer to [Cancel].
type Cancelled struct {
	Cancelled   int    `json:"cancelled,omitempty"`
	WouldCancel int    `json:"would_cancel,omitempty"` // in place of Cancelled, after a dry run
	Skipped     int    `json:"skipped"`                // those that had begun to fire
	Cursor      string `json:"cursor,omitempty"`       // where to continue; empty at the end
}

// BulkLine is the result of one job of a bulk: a line of the answer to POST
// /bulk/{db}/{collection}. Without an Error the job was created.
type BulkLine struct {
	Line   int    `json:"line"` // its line of NDJSON, or its place in the array, from 1
	ID     string `json:"id,omitempty"`
	Status string `json:"status,omitempty"`
	Error  string `json:"error,omitempty"`
	Code   string `json:"code,omitempty"`
}

// Attempts are the attempts to deliver a job: the answer to GET
// /job/{db}/{collection}/{id}/attempts.
type Attempts struct {
	Attempts []Attempt `json:"attempts"`
}

// Attempt is one attempt to deliver a job.
type Attempt struct {
	Attempt     int     `json:"attempt"` // its number, from 1
	WebhookID   string  `json:"webhook_id"`
	StartedTime int64   `json:"started_time"`
	DurationMS  float64 `json:"duration_ms"`
	LatenessMS  float64 `json:"lateness_ms"`
	Status      int     `json:"status,omitempty"` // the HTTP answer's status
	Error       string  `json:"error,omitempty"`
	Response    string  `json:"response,omitempty"` // the beginning of the answer
}
