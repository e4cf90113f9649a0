package timer

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/singleflight"
	limits "golang.org/x/time/rate"

	"belfry/internal/loglimit"
	"belfry/internal/metrics"
	"belfry/internal/panics"
	"belfry/streams/due"
	"belfry/streams/jobs"
	"belfry/streams/journal"
	"belfry/streams/routes"
)

// Timer owns a partition and fires its jobs: it follows the jobs bucket, keeps
// a queue, and sleeps until the next job is due.
type Timer struct {
	partition  int
	partitions int // how many there are
	staleAfter time.Duration

	log *slog.Logger
	now func() time.Time
	js  jetstream.JetStream
	w   *journal.Writer

	jobs     *jobs.Jobs
	dead     *jobs.DeadLetters
	spare    *jobs.Spare // the room of the jobs bucket
	routes   *routes.Cache
	inboxes  *routes.Inboxes
	breakers *routes.Breakers
	rates    *routes.Rates
	inFlight due.InFlight
	index    due.Index // includes the claims of the queue
	health   *journal.Health
	meter    meter

	// These are the loop's own; only Run touches them.
	queue    *due.Queue
	seen     uint64 // the last sequence that the tail brought
	tailed   <-chan tailed
	stopTail context.CancelFunc
	state    leaderState // as of the last check of the tail
	checked  uint64      // the value of seen at that check
	// bucketFirst is where the jobs bucket began when it was last found purged.
	bucketFirst uint64
	tenure      tenure          // zero while we are not the owner
	began       time.Time       // when the last tenure began
	stopTake    func()          // ends the routine that is under way, if any
	pace        backoff.BackOff // of tenures that soon end in doubt
	// unsettled are the claims of other epochs that are being settled.
	unsettled map[uint64]struct{}
	next      *tenure   // taken, but the tail has not reached its mark
	triedFew  time.Time // when claims were last tried on a stream that refuses them
	lookAgain bool      // fires that may be gone could not be looked for
	wanted    bool      // we are to own the partition, and do or try to
	holds     holds     // the restores that it waits for

	releases []chan struct{} // each is closed once the last fires are finished

	firing    atomic.Int64       // how many fires are under way
	nextDue   atomic.Int64       // when the next fire begins, in Unix ms; 0 if none may
	hungry    atomic.Bool        // the queue waits for room
	finisher  finisher           // holds the published fires
	owning    atomic.Bool        // whether tenure is set, for other goroutines
	idle      idleness           // why it is not set
	unleased  atomic.Bool        // the partition is free and ours to take, but its lease cannot be written
	asking    singleflight.Group // for why a fire was refused
	replaced  atomic.Bool        // somebody else took the partition from us
	firesSeen atomic.Uint64      // the highest sequence seen in FIRES
	fences    writtenFences      // ours
	fireSeqs  publishedFires     // of the standing claims
	caughtUp  atomic.Int64       // when the tail last had everything that the leader had a moment before, in Unix ms

	loads  chan loaded                // buffered for many
	ended  chan struct{}              // a fire has ended, or its final state is written
	events chan func(context.Context) // work that goroutines post to the loop; see [Timer.post]
	over   chan struct{}              // closed when the loop has ended

	work     context.Context // the context of everything that start begins
	stopWork context.CancelFunc
	working  sync.WaitGroup
	starting sync.Mutex // guards drained
	drained  bool       // start does nothing any more

	clocks *limits.Sometimes // limits the log about times too far ahead
}

// complain logs that something cannot go on yet, once a second: in an outage every due
// job has the same problem. It says nothing about a stream that accepts no writes, which
// is in the log already.
func (t *Timer) complain(why string, args ...any) {
	if slices.ContainsFunc(args, func(arg any) bool {
		err, is := arg.(error)
		return is && journal.IsLogged(err)
	}) {
		return
	}
	loglimit.Warn(t.log, why, args...)
}

// maxFiring bounds the fires under way.
const maxFiring = 1024

// shutdownPatience is how long begun fires may take when the timer stops.
const shutdownPatience = 2 * time.Second

// Config is what a timer needs. Everything is required except Metrics.
type Config struct {
	Partition  int
	Partitions int // how many there are

	// StaleAfter is the age at which a claim is made anew, since its fire counts as lost.
	StaleAfter time.Duration

	By       journal.Access
	Jobs     *jobs.Jobs
	Dead     *jobs.DeadLetters
	Spare    *jobs.Spare // the room of the partition's bucket
	Routes   *routes.Routes
	InFlight due.InFlight
	Claims   due.Index
	Health   *journal.Health

	Now     func() time.Time
	Log     *slog.Logger
	Metrics *metrics.Streams
}

// New returns a timer for cfg.Partition.
func New(cfg Config) *Timer {
	t := &Timer{
		partition: cfg.Partition, partitions: cfg.Partitions, staleAfter: cfg.StaleAfter,
		log: cfg.Log, now: cfg.Now, js: cfg.By.JS, w: cfg.By.W,
		jobs: cfg.Jobs, dead: cfg.Dead, spare: cfg.Spare,
		routes: cfg.Routes.Cache, inboxes: cfg.Routes.Inboxes, breakers: cfg.Routes.Breakers, rates: cfg.Routes.Rates,
		inFlight: cfg.InFlight, index: cfg.Claims, health: cfg.Health,
		meter: newMeter(cfg.Metrics, cfg.Partition, cfg.Now()),

		clocks: due.NewClockTrouble(),
		loads:  make(chan loaded, due.MaxLoading),
		ended:  make(chan struct{}, 1),
		events: make(chan func(context.Context)),
		over:   make(chan struct{}),

		pace:     journal.NewBackOff(10*time.Millisecond, 2*time.Second),
		stopTake: func() {},
	}
	t.finisher.most = t.inFlight.Unfinished()
	t.newQueue()
	return t
}

func (t *Timer) newQueue() {
	if t.queue != nil {
		t.queue.ReleaseRoom()
	}
	t.queue = due.NewQueue(t.opening, t.inboxes.Stirred)
	t.queue.SetLimit(t.inFlight)
	t.index.Set(t.partition, t.queue.Book)
}

// FiresBefore reports whether the timer fires now, or will fire by that time.
func (t *Timer) FiresBefore(at time.Time) bool {
	next := t.nextDue.Load()
	return t.firing.Load() > 0 || next > 0 && next <= at.UnixMilli()
}

// RoomFreed tells the timer that there may be room for large jobs.
func (t *Timer) RoomFreed() {
	if t.hungry.Load() {
		t.Wake()
	}
}

// start runs do in a goroutine that drain waits for. After drain it does nothing: an
// answer may still come.
func (t *Timer) start(do func(context.Context)) {
	t.starting.Lock()
	defer t.starting.Unlock()
	if !t.drained {
		t.working.Go(func() {
			defer panics.Recover(t.log, "work beside the loop of the timer", t.meter.Panicked)
			do(t.work)
		})
	}
}

// drain waits until the started work has ended, for a bounded time.
func (t *Timer) drain() {
	t.owning.Store(false)
	patience := time.AfterFunc(shutdownPatience, t.stopWork)
	defer patience.Stop()
	for t.finishSome(true); t.firing.Load() > 0 || !t.finisher.idle(); t.finishSome(true) {
		select {
		case <-t.ended:
			continue
		case <-t.work.Done():
		}
		break
	}
	t.starting.Lock()
	t.drained = true
	t.starting.Unlock()
	t.working.Wait()
	t.stopWork()
}
