package main

import (
	"math"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats-server/v2/server/sysmem"

	"belfry/internal/metrics"
	"belfry/internal/room"
)

// These bound the default of --max-job-memory.
const (
	leastJobMemory = 16 << 20
	mostJobMemory  = 256 << 20
)

// jobMemory returns the value of --max-job-memory, or a default for this machine if it
// is 0.
func jobMemory(bytes int64) int64 {
	if bytes > 0 {
		return bytes
	}
	return defaultJobMemory(debug.SetMemoryLimit(-1), sysmem.Memory())
}

// defaultJobMemory is a quarter of the operator's limit for the process, or a sixteenth
// of the machine's memory, if that is known. It leaves room for garbage and for the
// embedded server, which keeps some seconds of its writes in memory.
func defaultJobMemory(limit, machine int64) int64 {
	switch {
	case limit < math.MaxInt64:
		return min(max(limit/4, leastJobMemory), mostJobMemory)
	case machine > 0:
		return min(max(machine/16, leastJobMemory), mostJobMemory)
	}
	return mostJobMemory
}

// jobRoom is the room for jobs. It refuses nobody: a job that waits asks again.
func jobRoom(bytes int64, counts *metrics.Memory) *room.Pool {
	return room.New(room.Config{Bytes: bytes, Patience: time.Second, Watch: jobWatch{counts.Jobs(bytes)}})
}

// jobWatch records how much is held. The room of jobs is full whenever many large ones
// are due, so nothing is logged.
type jobWatch struct{ counts *metrics.Room }

func (w jobWatch) Holds(bytes int64) { w.counts.Held(bytes) }
func (w jobWatch) Waits(string)      {}
func (w jobWatch) Refuses(string)    {}
