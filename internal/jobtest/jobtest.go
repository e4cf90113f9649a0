// Package jobtest has jobs and records for tests.
package jobtest

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"belfry/internal/job"
)

// Epoch is the start of the time of [At].
var Epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// At returns the time ms milliseconds after [Epoch].
func At(ms int) time.Time { return Epoch.Add(time.Duration(ms) * time.Millisecond) }

// New returns a job with a small meta.
func New(id, route string, trigger time.Time) job.Job {
	return job.Job{
		Key:     job.Key{DB: "db", Collection: "coll", ID: id},
		Trigger: trigger.UnixMilli(), Meta: []byte(`{ "n": 1 }`), Route: route,
	}
}

// Scheduled returns the record of a job on route r that is due at the given time, as
// the tail delivers it with a sequence.
func Scheduled(seq uint64, due time.Time, replaces job.Position) job.Record {
	r := job.New(New(fmt.Sprint(seq), "r", due), "fire")
	r.Revision, r.Replaces = seq, replaces
	return r
}

// LargeSize is the size of a [Large] record's meta, in bytes.
const LargeSize = 100 << 10

// Large is [Scheduled] with a large meta.
func Large(seq uint64, route string, due time.Time) job.Record {
	r := Scheduled(seq, due, job.Position{})
	r.Route, r.Meta = route, Meta(LargeSize)
	return r
}

// Meta returns JSON of the given size in bytes, at least two.
func Meta(size int) []byte {
	return slices.Concat([]byte(`"`), bytes.Repeat([]byte("x"), size-2), []byte(`"`))
}
