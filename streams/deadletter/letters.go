package deadletter

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
	"belfry/internal/room"
	"belfry/streams/jobs"
	"belfry/streams/journal"
	"belfry/streams/routes"
	"belfry/streams/wire"
)

// Letters are the dead letters, in the order of their deaths. The errors are the job
// package's. It is safe for concurrent use.
type Letters struct {
	js     jetstream.JetStream
	w      *journal.Writer
	jobs   *jobs.Jobs
	routes *routes.Routes
	cfg    Config

	// ScanTime bounds how long one request reads. It is set before the first request.
	ScanTime time.Duration
}

// NewLetters returns letters that are read through by and redriven into jobs.
func NewLetters(by journal.Access, jobs *jobs.Jobs, routes *routes.Routes, cfg Config) *Letters {
	return &Letters{js: by.JS, w: by.W, jobs: jobs, routes: routes, cfg: cfg, ScanTime: scanTime}
}

const (
	// scanTime bounds how long one request reads. A filter that matches little may need
	// more; the page then has fewer letters, and a cursor.
	scanTime = time.Second
	// lettersAtOnce is how many letters are read ahead, without their meta.
	lettersAtOnce = 500
	// lettersPerTurn is how many letters are read in one turn.
	lettersPerTurn = 100
	// letterBytes is what one letter takes in a list. A page of longer letters has fewer.
	letterBytes = 2 << 10
	// lettersWait is how long the next letter may take after the server has said that
	// there is one.
	lettersWait = 500 * time.Millisecond
)

// List returns the letters that the query selects, without their meta, and where to go
// on. It holds one page in memory, however many letters there are. On a cluster any
// replica answers, so the newest letters may be missing.
func (s *Letters) List(ctx context.Context, q job.LetterQuery) (job.Letters, error) {
	stream, err := s.begin(ctx, &q)
	if err != nil {
		return job.Letters{}, err
	}
	if err := room.Of(ctx).Add(ctx, int64(q.Limit)*letterBytes); err != nil {
		return job.Letters{}, journal.NoRoom(err)
	}
	return s.list(ctx, stream, q)
}

// begin fills in the query's defaults.
func (s *Letters) begin(ctx context.Context, q *job.LetterQuery) (jetstream.Stream, error) {
	stream, err := s.js.Stream(ctx, s.w.Names.DeadStream())
	if err != nil {
		return nil, journal.Unavailable("couldn't look at the dead letters", err)
	}
	q.Limit = cmp.Or(q.Limit, job.DefaultLetters)
	q.Cursor.Last = cmp.Or(q.Cursor.Last, stream.CachedInfo().State.LastSeq)
	return stream, nil
}

func (s *Letters) list(ctx context.Context, stream jetstream.Stream, q job.LetterQuery) (job.Letters, error) {
	var page job.Letters
	next, left := max(q.Cursor.Next, 1), q.Limit*letterBytes
	more, err := s.scan(ctx, stream, q, func(l job.Letter) bool {
		next = l.Number + 1
		if q.Matches(l) {
			page.Letters = append(page.Letters, l)
			left -= 1024 + l.KeySize() + len(l.Route) + len(l.Detail)
		}
		return len(page.Letters) < q.Limit && left > 0
	})
	if more {
		page.Cursor = job.LetterCursor{Next: next, Last: q.Cursor.Last}
	}
	return page, err
}

// scan hands the letters of the query's db and route to visit, headers only and in order,
// within the query's cursor, until visit returns false or the time is over. more says
// that there may be others.
func (s *Letters) scan(ctx context.Context, stream jetstream.Stream, q job.LetterQuery, visit func(job.Letter) (more bool)) (more bool, err error) {
	last := q.Cursor.Last
	if q.Cursor.Next > last {
		return false, nil
	}
	cfg := jetstream.OrderedConsumerConfig{
		HeadersOnly:       true,
		FilterSubjects:    []string{s.w.Names.DeadSubjectsOf(q.DB, q.Route)},
		MaxResetAttempts:  1,
		InactiveThreshold: 10 * time.Second,
	}
	switch after := time.UnixMilli(q.After); {
	case q.Cursor.Next > 0:
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, q.Cursor.Next
	case q.After > 0:
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &after
	}
	c, err := stream.OrderedConsumer(ctx, cfg)
	if err != nil {
		return false, journal.Unavailable("couldn't read the dead letters", err)
	}
	// Otherwise a caller that lists often would reach the limit of consumers. A consumer
	// that cannot be deleted now expires by itself.
	defer func() { _ = stream.DeleteConsumer(ctx, c.CachedInfo().Name) }()
	if c.CachedInfo().NumPending == 0 {
		return false, nil
	}
	done, err := s.w.TakeReads(ctx, lettersAtOnce*letterBytes)
	if err != nil {
		return false, journal.Unavailable("couldn't read the dead letters", err)
	}
	defer done()
	messages, err := c.Messages(jetstream.PullMaxMessages(lettersAtOnce))
	if err != nil {
		return false, journal.Unavailable("couldn't read the dead letters", err)
	}
	defer messages.Stop()
	over, err := s.w.Turns.Take(ctx, journal.WalkRest)
	if err != nil {
		return false, err
	}
	defer func() { over() }()
	for n, begun := 1, time.Now(); ; n++ {
		if n%lettersPerTurn == 0 {
			over()
			if over, err = s.w.Turns.Take(ctx, journal.WalkRest); err != nil {
				over = func() {}
				return false, err
			}
		}
		// It is a context, so that it also ends the creation of another consumer.
		next, cancel := context.WithTimeout(ctx, lettersWait)
		m, err := messages.Next(jetstream.NextContext(next))
		late := next.Err() != nil
		cancel()
		switch {
		case err != nil && late && ctx.Err() == nil:
			return true, nil // discarded meanwhile, or slow: the next request will see
		case err != nil:
			return false, journal.Unavailable("couldn't read the dead letters", err)
		}
		at, err := m.Metadata()
		if err != nil {
			return false, err
		}
		if at.Sequence.Stream > last {
			return false, nil
		}
		l, err := wire.DecodeDead(m.Headers(), nil, at.Sequence.Stream, at.Timestamp)
		if err != nil {
			l = job.Letter{Number: at.Sequence.Stream} // it was put there by hand; no query selects it
		}
		// Letters are in the order of their deaths, including restored ones.
		end := at.NumPending == 0 || at.Sequence.Stream >= last ||
			q.Before > 0 && l.Died.UnixMilli() >= q.Before
		if !visit(l) || end || time.Since(begun) > s.ScanTime {
			return !end, nil
		}
	}
}

// Get returns one letter of a db, with its meta.
func (s *Letters) Get(ctx context.Context, db string, number uint64) (job.Letter, error) {
	shrink, err := s.w.Hold(ctx)
	if err != nil {
		return job.Letter{}, err
	}
	m, found, err := s.w.SeqOnLeader(ctx, s.w.Names.DeadStream(), number)
	shrink(len(m.Data))
	if err != nil {
		return job.Letter{}, err
	}
	if found {
		l, err := wire.DecodeDead(m.Header, m.Data, m.Seq, m.Time)
		if err == nil && l.DB == db {
			return l, nil
		}
	}
	return job.Letter{}, fmt.Errorf("%w: %d in db %q", job.ErrLetterNotFound, number, db)
}
