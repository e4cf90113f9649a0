package streams

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/room"
	"belfry/streams/asset"
	"belfry/streams/audit"
	"belfry/streams/backup"
	"belfry/streams/deadletter"
	"belfry/streams/due"
	"belfry/streams/fires"
	"belfry/streams/jobs"
	"belfry/streams/journal"
	"belfry/streams/lease"
	"belfry/streams/routes"
	"belfry/streams/setup"
	"belfry/streams/timer"
	"belfry/streams/tokens"
)

// Store is Belfry's state on one JetStream. It is safe for concurrent use.
type Store struct {
	cfg    Config
	assets asset.Set

	// nc is the timer's connection. The fields below are the workers' and the requests'
	// ways to JetStream.
	nc       *nats.Conn
	js       jetstream.JetStream
	work     journal.Access
	tries    journal.Access // like work, including its writes
	requests journal.Access

	w        *journal.Writer // the timer's
	own      *jobs.Jobs      // used by the timer
	workJobs *jobs.Jobs
	jobs     *jobs.Jobs
	routes   *routes.Routes
	inboxes  *routes.Inboxes
	dead     *jobs.DeadLetters
	letters  *deadletter.Letters
	advised  *deadletter.Advisories
	unread   *deadletter.Unread
	attempts *jobs.Attempts
	breakers *routes.Breakers
	rates    *routes.Rates
	tokens   *tokens.Tokens
	backups  *backup.Backups
	timers   []*timer.Timer // by partition
	rooms    []*jobs.Spare  // also by partition
	index    due.Index      // of the claims of all timers
	leases   *lease.Leases
	health   *journal.Health
	prober   *journal.Prober
	fires    *fires.Watch

	mender *audit.Mender
	audit  *audit.Audit
	setup  *setup.Setup

	partitions int // fixed at the first start
	replicas   int // of the streams; some may have more
}

// Open creates what is missing, at a first start, on the JetStream behind nc, and returns
// the store on it. If a store has lost something, the error is a [setup.Refusal]. nc is
// the timer's connection; [Config] has the others. The caller keeps ownership of all of
// them.
func Open(ctx context.Context, nc *nats.Conn, cfg Config) (*Store, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("couldn't use JetStream: %w", err)
	}
	s := &Store{cfg: cfg.withDefaults(), nc: nc, js: js}
	s.assets = s.cfg.assets()
	s.mender = audit.NewMender(js, s.cfg.Names, s.cfg.Log, s.cfg.Metrics)
	s.setup = setup.New(js, s.mender, s.setupConfig())
	if err := s.setup.Run(ctx); err != nil {
		return nil, err
	}
	s.partitions, s.replicas = s.setup.Partitions(), s.setup.Replicas()
	var said func(stream string) string
	if s.cfg.Disk != nil {
		said = s.cfg.Disk.Reason
	}
	s.health = journal.NewHealth(s.writtenStreams(), s.cfg.Log, s.cfg.Metrics, said)
	own, err := s.access()
	if err != nil {
		return nil, err
	}
	s.w = own.W
	s.index = due.NewIndex(s.partitions)
	routes := routes.New(own, s.work, s.partitions, s.routesConfig())
	s.inboxes, s.breakers, s.rates = routes.Inboxes, routes.Breakers, routes.Rates
	s.routes = routes.On(s.requests)
	s.rooms = jobs.NewSpares(s.cfg.Names, s.partitions, s.cfg.Log)
	s.own = jobs.New(own, routes, s.rooms, s.index, s.jobsConfig())
	s.workJobs = jobs.New(s.work, routes, s.rooms, s.index, s.jobsConfig())
	s.jobs = jobs.New(s.requests, s.routes, s.rooms, s.index, s.jobsConfig())
	s.dead = jobs.NewDeadLetters(s.w, s.jobsConfig())
	for p := range s.partitions {
		s.timers = append(s.timers, timer.New(s.timerConfig(p, own, routes)))
	}
	s.cfg.InFlight.OnFreed(s.roomFreed)
	s.health.OnBetter = s.wake
	s.letters = deadletter.NewLetters(s.requests, s.jobs, s.routes, s.lettersConfig())
	s.advised = deadletter.NewAdvisories(own, s.inboxes, s.dead, s.lettersConfig())
	s.unread = deadletter.NewUnread(own, s.inboxes, s.dead, s.timers[0].Owns, s.lettersConfig())
	s.attempts = jobs.NewAttempts(s.tries, s.requests, s.cfg.SyncAlways && s.replicas == 1, s.health, s.jobsConfig())
	s.tokens = tokens.New(own, s.ensureTokens, tokens.Config{Authenticated: s.cfg.Authenticated, Log: s.cfg.Log, Metrics: s.cfg.Metrics})
	s.prober = &journal.Prober{H: s.health, W: own.W, Send: own.Publish, Tokens: s.tokens.HadAny}
	s.backups = backup.New(s.requests, s.jobs, s.attempts, s.routes, s.partitions, backup.Config{Now: s.cfg.Now, Log: s.cfg.Log, Metrics: s.cfg.Metrics})
	s.audit = s.newAudit(own)
	s.leases = s.newLeases(own)
	s.fires = fires.New(own, s.timers, s.index, s.leases.HasOthers, fires.Config{
		MaxAge: s.cfg.FiresMaxAge, Every: s.cfg.AuditEvery, Now: s.cfg.Now, Log: s.cfg.Log, Metrics: s.cfg.Metrics,
	})
	if err := s.setup.TellCollisions(ctx); err != nil {
		return nil, err
	}
	if s.cfg.MaxPullWait > 0 || s.cfg.OnlyNode {
		if err := s.inboxes.LimitPulls(ctx); err != nil {
			return nil, err
		}
	}
	if s.cfg.OnlyNode {
		return s, s.inboxes.HandOutAgain(ctx)
	}
	return s, nil
}

// access opens the ways to JetStream, and returns the timer's. Connections that are not
// configured are replaced by the timer's.
func (s *Store) access() (own journal.Access, err error) {
	if own, err = s.open(s.nc, nil, 0); err != nil {
		return own, err
	}
	s.work, s.tries, s.requests = own, own, own
	if nc := s.cfg.Conns.Workers; nc != nil {
		if s.tries, err = s.open(nc, nil, 0); err != nil {
			return own, err
		}
		// Final states share the syncs of the claims.
		w := *s.tries.W
		w.Submit = own.W.Submit
		s.work = journal.Access{NC: nc, JS: s.tries.JS, W: &w, Publish: s.tries.Publish}
	}
	if nc := s.cfg.Conns.Requests; nc != nil {
		if s.requests, err = s.open(nc, s.cfg.Reads, requestBatchBytes); err != nil {
			return own, err
		}
		s.requests.W.Turns = journal.NewTurns(s.firesSoon)
	}
	return own, nil
}

// requestBatchBytes bounds the batches of requests, so that the timer's writes come
// between them.
const requestBatchBytes = 1 << 20

// open opens a way to JetStream with a committer of its own.
func (s *Store) open(nc *nats.Conn, reads *room.Pool, batchBytes int) (journal.Access, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return journal.Access{}, fmt.Errorf("couldn't use JetStream: %w", err)
	}
	a, err := journal.NewRequester(nc, s.cfg.Log, s.cfg.Metrics)
	if err != nil {
		return journal.Access{}, fmt.Errorf("couldn't subscribe to answers: %w", err)
	}
	a.Names = s.cfg.Names
	w := journal.NewWriter(nc, a, &journal.Lanes{
		JS: js, Requester: a, Sync: s.cfg.SyncAlways, Replicated: s.replicas > 1, BatchBytes: batchBytes,
		Metrics: s.cfg.Metrics, Health: s.health,
	})
	w.Reads, w.Largest = reads, int64(s.cfg.MaxMeta)+journal.BesideMeta
	return journal.Access{NC: nc, JS: js, W: w, Publish: a.Publish}, nil
}

// Jobs returns the jobs, for requests.
func (s *Store) Jobs() *jobs.Jobs { return s.jobs }

// WorkJobs returns the jobs, for the workers.
func (s *Store) WorkJobs() *jobs.Jobs { return s.workJobs }

// Routes returns the routes, for requests.
func (s *Store) Routes() *routes.Routes { return s.routes }

// RouteCache returns the routes for callers that need them often.
func (s *Store) RouteCache() *routes.Cache { return s.routes.Cache }

// Inboxes returns the inboxes of the routes.
func (s *Store) Inboxes() *routes.Inboxes { return s.inboxes }

// Letters returns the dead letters.
func (s *Store) Letters() *deadletter.Letters { return s.letters }

// Attempts returns the tries that were made. Its own Run must end after the delivery,
// whose last tries it writes.
func (s *Store) Attempts() *jobs.Attempts { return s.attempts }

// Breakers returns the breakers of the routes.
func (s *Store) Breakers() *routes.Breakers { return s.breakers }

// wake makes the timers look at what there is to do: a gate may have opened or shut, or a
// stream may answer or accept writes again.
func (s *Store) wake() {
	for _, t := range s.timers {
		t.Wake()
	}
}

// inFlight returns the bound on the jobs under way.
func (s *Store) inFlight() due.InFlight { return due.NewInFlight(s.cfg.InFlight, s.partitions) }

// roomFreed tells the timers that wait for room that there may be some now.
func (s *Store) roomFreed() {
	for _, t := range s.timers {
		t.RoomFreed()
	}
}

// Tokens returns the bearer tokens. Its own Run must end after the API.
func (s *Store) Tokens() *tokens.Tokens { return s.tokens }

// Backups returns the part that makes and restores backups.
func (s *Store) Backups() *backup.Backups { return s.backups }

// Run follows the routes, fires due jobs and buries the fires that subscribers could not
// take, until ctx ends. Then it finishes the fires that it has begun. It waits while
// JetStream is in trouble. The error is always nil.
func (s *Store) Run(ctx context.Context) error {
	var g sync.WaitGroup
	g.Go(func() { s.routes.Cache.Follow(ctx) })
	g.Go(func() { s.breakers.Follow(ctx) })
	g.Go(func() { s.leases.Run(ctx) })
	g.Go(func() { s.advised.Run(ctx) })
	g.Go(func() { s.unread.Run(ctx) })
	g.Go(func() { s.audit.Run(ctx) })
	g.Go(func() { s.fires.Run(ctx) })
	g.Go(func() { s.prober.Run(ctx) })
	g.Wait()
	return nil
}

// Stuck returns since when a stream has accepted no write, and why, as with a server that
// cannot store anything. The reason is "" if there is no such stream, or if somebody else
// changed the stream: the audit mends or reports that. A stream that was changed is
// judged anew from the time when it is mended.
func (s *Store) Stuck(ctx context.Context) (since time.Time, why string) {
	for _, stuck := range s.health.Stuck() {
		if !s.audit.WasChanged(ctx, stuck.Name) {
			return stuck.Since, stuck.Why
		}
		s.health.Changed(stuck.Name)
	}
	return time.Time{}, ""
}

// TryNow probes the streams that accept no writes at once: the cause may be gone.
func (s *Store) TryNow() { s.health.Hurry() }

// Short returns since when a stream has refused writes because the server has no storage
// left for any, and why. The reason is "" if there is none.
func (s *Store) Short() (since time.Time, why string) { return s.health.Short() }

// writtenStreams returns the names of the streams that Belfry writes to. The server
// itself writes to the others.
func (s *Store) writtenStreams() []string {
	return slices.DeleteFunc(s.assets.StreamNames(s.partitions), func(name string) bool { return name == s.cfg.Names.AdvisoryStream() })
}

// Ready reports whether JetStream answers, all streams are as they should be and accept
// writes, and the timer is at work. The error wraps [job.ErrUnavailable].
func (s *Store) Ready(ctx context.Context) error {
	if amiss := slices.Concat(s.health.Amiss(), s.audit.Amiss(), s.withoutSpare()); len(amiss) > 0 {
		return fmt.Errorf("%w: %s", job.ErrUnavailable, strings.Join(amiss, "; "))
	}
	for _, nc := range []*nats.Conn{s.nc, s.work.NC, s.requests.NC} {
		if !nc.IsConnected() {
			return fmt.Errorf("%w: %w; Belfry goes on by itself when a server answers", job.ErrUnavailable, journal.ErrNotConnected)
		}
	}
	for _, stream := range []string{s.cfg.Names.JobsStream(0), s.cfg.Names.FiresStream()} {
		if _, err := s.js.Stream(ctx, stream); err != nil {
			return fmt.Errorf("%w: stream %s: %v", job.ErrUnavailable, stream, setup.WhyNotReady(err))
		}
	}
	for _, t := range s.timers {
		if t.Holds() {
			return errRestoring
		}
	}
	return s.leases.Ready()
}

// newLeases returns the leases of the timers' partitions.
func (s *Store) newLeases(own journal.Access) *lease.Leases {
	var partitions []lease.Partition
	for _, t := range s.timers {
		partitions = append(partitions, t)
	}
	cfg := lease.Config{OnlyNode: s.cfg.OnlyNode, Now: s.cfg.Now, Log: s.cfg.Log, Metrics: s.cfg.Metrics}
	return lease.New(own, s.requests.W, partitions, cfg)
}

// firesSoon reports whether a job of this node fires now, or is due within journal.TurnGap.
func (s *Store) firesSoon() bool {
	before := s.cfg.Now().Add(journal.TurnGap)
	return slices.ContainsFunc(s.timers, func(t *timer.Timer) bool { return t.FiresBefore(before) })
}

// withoutSpare lists, in words, the jobs buckets that accept no new jobs.
func (s *Store) withoutSpare() (all []string) {
	for p, room := range s.rooms {
		if room.IsShort() {
			all = append(all, fmt.Sprintf("no new job is stored in %s: it is nearly full, and the room that is left is for the jobs in it (max_bytes)", s.cfg.Names.JobsStream(p)))
		}
	}
	return all
}

// jobsConfig returns the configuration of the jobs.
func (s *Store) jobsConfig() jobs.Config {
	return jobs.Config{HistoryTTL: s.cfg.HistoryTTL, MaxMeta: s.cfg.MaxMeta, Now: s.cfg.Now, Log: s.cfg.Log, Metrics: s.cfg.Metrics}
}

// timerConfig returns the configuration of the timer of a partition.
func (s *Store) timerConfig(partition int, own journal.Access, routes *routes.Routes) timer.Config {
	return timer.Config{
		Partition: partition, Partitions: s.partitions, StaleAfter: s.cfg.FiresMaxAge / 2,
		By: own, Jobs: s.own, Dead: s.dead, Spare: s.rooms[partition], Routes: routes,
		InFlight: s.inFlight(), Claims: s.index, Health: s.health,
		Now: s.cfg.Now, Log: s.cfg.Log, Metrics: s.cfg.Metrics,
	}
}

// lettersConfig returns the configuration of the dead letters.
func (s *Store) lettersConfig() deadletter.Config {
	return deadletter.Config{FiresMaxAge: s.cfg.FiresMaxAge, Now: s.cfg.Now, Log: s.cfg.Log, Metrics: s.cfg.Metrics}
}

// routesConfig returns the configuration of the routes.
func (s *Store) routesConfig() routes.Config {
	return routes.Config{
		Names: s.cfg.Names, Log: s.cfg.Log, Metrics: s.cfg.Metrics, Now: s.cfg.Now, MaxMeta: s.cfg.MaxMeta,
		NativeAckWait: s.cfg.NativeAckWait, NativeMaxDeliver: s.cfg.NativeMaxDeliver,
		MaxPullWait: s.cfg.MaxPullWait, SubscriberAPI: s.cfg.SubscriberAPI,
		IgnoresCase: s.setup.IgnoresCase(), Room: s.inFlight(), Claims: s.index, Changed: s.wake,
	}
}

var errRestoring = fmt.Errorf("%w: a backup is being restored, or that broke off; nothing fires before all of it is there; send its file again if it broke off", job.ErrUnavailable)
