package main

import (
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"belfry/internal/metrics"
	"belfry/internal/room"
)

// readsMost bounds the bytes on their way from NATS to requests. It is a fraction of
// what nats-server lets a connection have pending by default before it cuts it, and so
// little that fires do not wait long for a processor.
const readsMost = 12 << 20

// memory bounds the memory of requests, and of jobs.
type memory struct {
	requests *room.Pool // held by requests
	reads    *room.Pool // on its way from NATS to requests
	jobs     *room.Pool // loaded, fired or delivered
}

// newMemory shares out --max-request-memory and --max-job-memory.
func newMemory(cfg Config, counts *metrics.Memory, log *slog.Logger) memory {
	bytes := int64(cfg.MaxRequestMemory)
	reads := min(bytes/4, readsMost)
	pool := func(of string, bytes int64) *room.Pool {
		return room.New(room.Config{Bytes: bytes, Watch: &memoryWatch{
			of: of, counts: counts.Room(of, bytes), log: log,
			waits: rate.Sometimes{Interval: tellMemory}, refusals: rate.Sometimes{Interval: tellMemory},
		}})
	}
	return memory{
		requests: pool("requests", bytes-reads),
		reads:    pool("reads", reads),
		jobs:     jobRoom(jobMemory(int64(cfg.MaxJobMemory)), counts),
	}
}

// tellMemory is how often the log says that the bound takes effect.
const tellMemory = 10 * time.Second

// memoryWatch reports on one of the bounds.
type memoryWatch struct {
	of     string
	counts *metrics.Room
	log    *slog.Logger

	waits, refusals   rate.Sometimes
	waited, refusedOf atomic.Int64 // since the last report
}

func (w *memoryWatch) Holds(bytes int64) { w.counts.Held(bytes) }

func (w *memoryWatch) Waits(db string) {
	w.counts.Waited()
	w.waited.Add(1)
	w.waits.Do(func() {
		w.log.Info("requests wait for memory", "of", w.of, "db", db, "times", w.waited.Swap(0))
	})
}

func (w *memoryWatch) Refuses(db string) {
	w.counts.Refused()
	w.refusedOf.Add(1)
	w.refusals.Do(func() {
		w.log.Warn("requests were refused for want of memory", "of", w.of, "db", db, "times", w.refusedOf.Swap(0))
	})
}
