package streams_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"belfry/internal/job"
	"belfry/internal/natstest"
	"belfry/internal/room"
	"belfry/streams"
)

// mostHeld records the most that a pool has held.
type mostHeld struct{ bytes, waits, refusals atomic.Int64 }

func (m *mostHeld) Holds(bytes int64) {
	for {
		most := m.bytes.Load()
		if bytes <= most || m.bytes.CompareAndSwap(most, bytes) {
			return
		}
	}
}
func (m *mostHeld) Waits(string)   { m.waits.Add(1) }
func (m *mostHeld) Refuses(string) { m.refusals.Add(1) }

// apart is a store whose timer, workers and requests have connections of their own.
type apart struct {
	*fixture
	workers, requests *nats.Conn
	reads             mostHeld
}

const readsInTest = 8 << 20

func openApart(t *testing.T) *apart {
	t.Helper()
	a := &apart{fixture: &fixture{t: t, server: natstest.Start(t)}}
	a.connect()
	a.workers, a.requests = a.server.Connect(), a.server.Connect()
	a.reopen(streams.Config{
		Conns: streams.Conns{Workers: a.workers, Requests: a.requests},
		Reads: room.New(room.Config{Bytes: readsInTest, Watch: &a.reads}),
	})
	return a
}

var large = append(append([]byte(`"`), bytes.Repeat([]byte("x"), 500<<10)...), '"')

// createLarge creates jobs with large metas, due tomorrow.
func (a *apart) createLarge(n int) {
	a.t.Helper()
	for i := range n {
		j := newJob(fmt.Sprint(i), "r", time.Now().Add(24*time.Hour))
		j.Meta = large
		a.create(j)
	}
}

// The answers to requests do not arrive on the timer's connection.
func TestRequestsReadOnTheirOwnConnection(t *testing.T) {
	t.Parallel()
	a := openApart(t)
	a.run()
	a.route("r", job.REST)
	a.createLarge(8)
	last := newJob("0", "", time.Time{}).Key
	began, before := time.Now(), a.nc.Stats().InBytes
	for range 4 {
		a.get(last)
		if _, err := a.Jobs().List(t.Context(), job.Query{DB: "db"}); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Jobs().Places(t.Context(), job.PlaceQuery{}); err != nil {
			t.Fatal(err)
		}
		changed := newJob("0", "r", time.Now().Add(48*time.Hour))
		if err := a.Jobs().Update(t.Context(), changed, 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Jobs().CancelEach(t.Context(), job.Query{DB: "db"}, false); err != nil {
		t.Fatal(err)
	}
	if err := a.Backups().Each(t.Context(), func(job.Entry) error { return nil }); err != nil {
		t.Fatal(err)
	}
	// Once a second the timer itself reads the last record.
	own := (int(time.Since(began)/time.Second) + 2) * 3 / 2 * len(large)
	if got := a.nc.Stats().InBytes - before; got > uint64(own) {
		t.Errorf("%d bytes came in on the timer's connection, want at most %d", got, own)
	}
	if got := a.requests.Stats().InBytes; got < uint64(16*len(large)) {
		t.Errorf("%d bytes came in on the connection of the requests, want all that they have read", got)
	}
}

// Many requests read many large jobs at once. All get all jobs, and the answers on their
// way stay within the bound together.
func TestLargeJobsAreListedWithinTheBound(t *testing.T) {
	t.Parallel()
	a := openApart(t)
	a.route("r", job.REST)
	const jobs = 24
	a.createLarge(jobs)
	memory := room.New(room.Config{Bytes: 64 << 20})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			held := memory.Ticket(fmt.Sprint("db", i%2))
			defer held.Close()
			ctx := room.With(t.Context(), held)
			var listed []job.Record
			for q := (job.Query{DB: "db", Limit: 1000}); ; {
				page, err := a.Jobs().List(ctx, q)
				held.Settle(1 << 10) // only the answer is left
				if err != nil {
					t.Error(err)
					return
				}
				listed = append(listed, page.Jobs...)
				if q.Cursor = page.Cursor; q.Cursor == (job.Cursor{}) { // otherwise its time was over
					break
				}
			}
			if len(listed) != jobs {
				t.Errorf("%d jobs are listed, want %d", len(listed), jobs)
				return
			}
			for n, r := range listed {
				if r.ID != fmt.Sprint(n) || r.Trigger == 0 || r.Trigger != r.Due || r.Route != "r" || r.Meta != nil {
					t.Errorf("job %d of the list is %+v", n, r)
				}
			}
			r, err := a.Jobs().Get(ctx, listed[i].Key)
			if err != nil || !bytes.Equal(r.Meta, large) {
				t.Errorf("job %d has a meta of %d bytes, want %d; %v", i, len(r.Meta), len(large), err)
			}
		})
	}
	all.Wait()
	if most := a.reads.bytes.Load(); most > readsInTest || most == 0 {
		t.Errorf("%d bytes were on their way at once, want at most %d", most, readsInTest)
	}
	if memory.Held() != 0 {
		t.Errorf("%d bytes are held in the end", memory.Held())
	}
}

// A record of an older Belfry has its trigger time only in its value.
func TestLargeJobsOfOlderVersionsAreListed(t *testing.T) {
	t.Parallel()
	a := openApart(t)
	a.route("r", job.REST)
	a.createLarge(4)
	want := a.get(newJob("0", "", time.Time{}).Key).Trigger
	for _, m := range a.messages("KV_jobs_0", ">") {
		h := nats.Header{}
		for name, values := range m.Headers() {
			if name != "Belfry-Trigger" && name != "Nats-Expected-Last-Subject-Sequence" {
				h[name] = values
			}
		}
		if _, err := a.js.PublishMsg(t.Context(), &nats.Msg{Subject: m.Subject(), Header: h, Data: m.Data()}); err != nil {
			t.Fatal(err)
		}
	}
	page, err := a.Jobs().List(t.Context(), job.Query{DB: "db"})
	if err != nil || len(page.Jobs) != 4 || page.Jobs[0].Trigger != want {
		t.Errorf("the list is %+v, want four jobs of %d; %v", page, want, err)
	}
}

// Jobs with large metas keep the metas when a filter cancels them.
func TestLargeJobsAreCancelledWhole(t *testing.T) {
	t.Parallel()
	a := openApart(t)
	a.route("r", job.REST)
	// The first jobs need a turn, and together more room than there is. So the others,
	// which are also read again, wait behind them; they are more than are cancelled
	// concurrently.
	const first, jobs = 24, 300
	metas := map[bool][]byte{true: large, false: []byte(`"` + strings.Repeat("x", 12<<10) + `"`)}
	a.createLarge(first)
	var g errgroup.Group
	g.SetLimit(16)
	for i := first; i < jobs; i++ {
		g.Go(func() error {
			j := newJob(fmt.Sprint(i), "r", time.Now().Add(24*time.Hour))
			j.Meta = metas[false]
			return a.Jobs().Create(t.Context(), j)
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	memory := room.New(room.Config{Bytes: 12 << 20})
	held := memory.Ticket("db")
	defer held.Close()
	cancelled := 0
	for q := (job.Query{DB: "db"}); ; {
		run, err := a.Jobs().CancelEach(room.With(t.Context(), held), q, false)
		if err != nil {
			t.Fatalf("%d jobs were cancelled, then: %v", cancelled+run.Cancelled, err)
		}
		cancelled += run.Cancelled
		held.Settle(0)
		if q.Cursor = run.Cursor; q.Cursor == (job.Cursor{}) { // otherwise its time was over
			break
		}
	}
	if cancelled != jobs {
		t.Errorf("%d jobs were cancelled, want %d", cancelled, jobs)
	}
	for i := range jobs {
		r := a.get(newJob(fmt.Sprint(i), "", time.Time{}).Key)
		if r.Status != job.Cancelled || !bytes.Equal(r.Meta, metas[i < first]) {
			t.Errorf("job %d is %s with a meta of %d bytes", i, r.Status, len(r.Meta))
		}
	}
}

// Without room a request is refused and changes nothing.
func TestWithoutRoomRequestsAreRefused(t *testing.T) {
	t.Parallel()
	a := openApart(t)
	a.route("r", job.REST)
	a.createLarge(1)
	memory := room.New(room.Config{Bytes: 1 << 20, Patience: time.Millisecond})
	other := memory.Ticket("db")
	defer other.Close()
	if err := other.Add(t.Context(), 1<<19); err != nil {
		t.Fatal(err)
	}
	k := newJob("0", "", time.Time{}).Key
	requests := map[string]func(context.Context) error{
		"get":    func(ctx context.Context) error { _, err := a.Jobs().Get(ctx, k); return err },
		"list":   func(ctx context.Context) error { _, err := a.Jobs().List(ctx, job.Query{DB: "db"}); return err },
		"cancel": func(ctx context.Context) error { return a.Jobs().Cancel(ctx, k, 0) },
		"cancels": func(ctx context.Context) error {
			_, err := a.Jobs().CancelEach(ctx, job.Query{DB: "db"}, true)
			return err
		},
		"update": func(ctx context.Context) error { return a.Jobs().Update(ctx, newJob("0", "r", time.Now()), 0) },
		"places": func(ctx context.Context) error { _, err := a.Jobs().Places(ctx, job.PlaceQuery{}); return err },
		"letters": func(ctx context.Context) error {
			_, err := a.Letters().List(ctx, job.LetterQuery{DB: "db"})
			return err
		},
		"letter": func(ctx context.Context) error { _, err := a.Letters().Get(ctx, "db", 1); return err },
		"redrive": func(ctx context.Context) error {
			_, err := a.Letters().RedriveEach(ctx, job.LetterQuery{DB: "db"})
			return err
		},
		"attempts": func(ctx context.Context) error { _, err := a.Attempts().Of(ctx, k); return err },
		"backup":   func(ctx context.Context) error { return a.Backups().Each(ctx, func(job.Entry) error { return nil }) },
	}
	for name, do := range requests {
		held := other.Beside()
		if err := do(room.With(t.Context(), held)); !errors.Is(err, room.ErrFull) || !errors.Is(err, job.ErrUnavailable) {
			t.Errorf("%s: %v, want that there is no room", name, err)
		}
		held.Close()
	}
	if r := a.get(k); r.Status != job.Scheduled || !bytes.Equal(r.Meta, large) {
		t.Errorf("the job is %s with a meta of %d bytes", r.Status, len(r.Meta))
	}
	if held := memory.Held(); held != 1<<19 {
		t.Errorf("%d bytes are held in the end, want what the first took", held)
	}
}
