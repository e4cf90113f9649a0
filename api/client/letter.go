package client

import "encoding/json"

// Letter is a dead letter: the answer to GET /dead/{db}/{sequence}.
type Letter struct {
	ListedLetter
	Meta json.RawMessage `json:"meta"` // its job's meta, byte for byte
}

// ListedLetter is a dead letter without the meta of its job, as lists have it.
type ListedLetter struct {
	Sequence    uint64 `json:"sequence"` // addresses the letter
	DB          string `json:"db"`
	Collection  string `json:"collection"`
	ID          string `json:"id"` // its job's id
	Route       string `json:"route"`
	Reason      string `json:"reason"` // machine-readable
	Detail      string `json:"detail"` // for humans
	TriggerTime int64  `json:"trigger_time"`
	DiedAt      int64  `json:"died_at"`
	Attempts    int    `json:"attempts"` // how many were made
}

// Letters is a page of dead letters: the answer to GET /dead/{db}.
type Letters struct {
	Dead   []ListedLetter `json:"dead"`
	Cursor string         `json:"cursor,omitempty"` // where to continue; empty at the end
}

// LetterQuery selects dead letters: the query of GET /dead/{db}. A field that is
// left out selects all.
type LetterQuery struct {
	Route  string `json:"route,omitempty"`
	Reason string `json:"reason,omitempty"`
	After  *int64 `json:"after,omitempty"`  // died at or after this
	Before *int64 `json:"before,omitempty"` // died before this
	Limit  int    `json:"limit,omitempty"`  // how many at most
	Cursor string `json:"cursor,omitempty"` // from the last answer
}

// LetterFilter selects the dead letters to redrive or discard: the body of POST
// /dead/{db}/redrive and POST /dead/{db}/discard. It needs a filter, or All.
type LetterFilter struct {
	LetterQuery
	All bool `json:"all,omitempty"`
}

func (f LetterFilter) from(cursor string) any {
	f.Cursor = cursor
	return f
}

// Redriven says how many dead letters were redriven.
type Redriven struct {
	Redriven int `json:"redriven"`
	LetterRun
}

// Discarded says how many dead letters were discarded.
type Discarded struct {
	Discarded int `json:"discarded"`
	LetterRun
}

// LetterRun is the part of both answers about the letters that were left alone.
type LetterRun struct {
	Skipped int    `json:"skipped"` // how many
	Skips   []Skip `json:"skips,omitempty"`
	Cursor  string `json:"cursor,omitempty"` // where to continue; empty at the end
}

// Skip is a dead letter that was left alone.
type Skip struct {
	Sequence   uint64 `json:"sequence"`
	DB         string `json:"db"`
	Collection string `json:"collection"`
	ID         string `json:"id"`
	Why        string `json:"why"`
}
