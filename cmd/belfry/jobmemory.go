package main

import (
	"math"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats-server/v2/server/sysmem"

	"belfry/internal/metrics"
	"belfry/internal/room"
)

// The bounds of what --max-job-memory is by itself.
const (
	leastJobMemory = 16 << 20
	mostJobMemory  = 256 << 20
)

// jobMemory returns what --max-job-memory says, or what is right for this machine
// if it is 0.
func jobMemory(bytes int64) int64 {
	if bytes > 0 {
		return bytes
	}
	return defaultJobMemory(debug.SetMemoryLimit(-1), sysmem.Memory())
}

// defaultJobMemory is a quarter of the limit that the operator has set for the
// process, or a sixteenth of the machine's memory, if that is known. It leaves room
// for the embedded server, which keeps some seconds of what is written in memory,
// and for garbage.
func defaultJobMemory(limit, machine int64) int64 {
	switch {
	case limit < math.MaxInt64:
		return min(max(limit/4, leastJobMemory), mostJobMemory)
	case machine > 0:
		return min(max(machine/16, leastJobMemory), mostJobMemory)
	}
	return mostJobMemory
}

// jobRoom is the room for jobs. Nobody is refused it: who waits asks again.
func jobRoom(bytes int64, counts *metrics.Memory) *room.Pool {
	return room.New(room.Config{Bytes: bytes, Patience: time.Second, Watch: jobWatch{counts.Jobs(bytes)}})
}

// jobWatch tells how much is held. The room of jobs is full whenever many large ones
// are due, so nothing is logged.
type jobWatch struct{ counts *metrics.Room }

func (w jobWatch) Holds(bytes int64) { w.counts.Held(bytes) }
func (w jobWatch) Waits(string)      {}
func (w jobWatch) Refuses(string)    {}
