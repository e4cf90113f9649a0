package service_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"belfry/api"
	"belfry/api/service"
	"belfry/internal/job"
	"belfry/internal/logtest"
	"belfry/internal/tracing"

	"belfry/internal/room"
	"belfry/internal/waittest"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// noRoutes is a store without routes.
type noRoutes struct{ api.Routes }

func (noRoutes) List(context.Context, job.RouteQuery) (job.RoutePage, error) {
	return job.RoutePage{}, nil
}

func TestTrouble(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		fail         func(context.Context) error
		create, get  string // the answers
		status, says string // a create's status, and the log's text
	}{
		{"unavailable", func(context.Context) error { return fmt.Errorf("%w: no stream", job.ErrUnavailable) }, "E302", "E302", "503", "no stream"},
		{"outcome unknown", func(context.Context) error { return job.ErrUnknownOutcome }, "E303", "E303", "503", "code=E303"},
		{"too slow", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, "E303", "E302", "503", "deadline exceeded"},
		{"own fault", func(context.Context) error { return errors.New("disk on fire") }, "E301", "E301", "500", "disk on fire"},
		{"panic", func(context.Context) error { panic("no idea") }, "E301", "E301", "500", "panic: no idea"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log logtest.Log
			s := start(t, api.Operations{Jobs: jobs{
				create: func(ctx context.Context, _ job.Job) error { return tt.fail(ctx) },
				get:    func(ctx context.Context, _ job.Key) (job.Record, error) { return job.Record{}, tt.fail(ctx) },
			}}, func(c *service.Config) {
				c.Timeout = 50 * time.Millisecond
				c.Log = log.Logger()
			})
			const body = `{"id":"1","trigger_time":4102444800000,"meta":"hunter2","route":"r"}`
			got := s.ask(t, "belfry.job.create.games.c", body)
			if !strings.HasSuffix(string(got.Data), `"code":"`+tt.create+`"}`) || got.Header.Get(micro.ErrorCodeHeader) != tt.status {
				t.Errorf("create: got %s, %v; want %s, %s", got.Data, got.Header, tt.create, tt.status)
			}
			if again := got.Header.Get("Retry-After"); (again == "1") != (tt.status == "503") {
				t.Errorf("create: Retry-After is %q", again)
			}
			got = s.ask(t, "belfry.job.get.games.c", `{"id":"1"}`)
			if !strings.HasSuffix(string(got.Data), `"code":"`+tt.get+`"}`) {
				t.Errorf("get: got %s, want %s", got.Data, tt.get)
			}
			for _, want := range []string{"request failed", "subject=belfry.job.create.games.c", tt.says} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("the log has no %q:\n%s", want, &log)
				}
			}
			if strings.Contains(log.String(), "hunter2") {
				t.Errorf("the log has the payload:\n%s", &log)
			}
		})
	}
}

// Requests of one endpoint are worked on concurrently, up to the bound; requests of
// another do not wait for them.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	begun, over := make(chan struct{}, 2*service.MaxUnderWay), make(chan struct{})
	s := start(t, api.Operations{
		Jobs: jobs{create: func(ctx context.Context, _ job.Job) error {
			begun <- struct{}{}
			select {
			case <-over:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}},
		Routes: noRoutes{},
	}, func(c *service.Config) { c.Timeout = patience })
	inbox, err := s.client.SubscribeSync(s.client.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	const asked = service.MaxUnderWay + 10
	for i := range asked {
		if err := s.client.PublishRequest("belfry.job.create.games.c", inbox.Subject, []byte(newJob(i))); err != nil {
			t.Fatal(err)
		}
	}
	for range service.MaxUnderWay {
		<-begun
	}
	s.expect(t, "belfry.route.list.games", "", `{"routes":[]}`)
	if more := len(begun); more > 0 {
		t.Errorf("%d more are under way, want at most %d", more, service.MaxUnderWay)
	}
	close(over)
	for range asked {
		if got, err := inbox.NextMsg(patience); err != nil || string(got.Data) != ok {
			t.Fatalf("got %v, %v; want it created", got, err)
		}
	}
}

// Stop answers the requests that have come, and nothing receives later ones.
func TestStop(t *testing.T) {
	t.Parallel()
	begun, over := make(chan struct{}), make(chan struct{})
	s := start(t, api.Operations{Jobs: jobs{create: func(context.Context, job.Job) error {
		close(begun)
		<-over
		return nil
	}}}, nil)
	answer := make(chan string, 1)
	go func() {
		got, err := s.client.Request("belfry.job.create.games.c", []byte(newJob(1)), patience)
		if err != nil {
			answer <- err.Error()
			return
		}
		answer <- string(got.Data)
	}()
	<-begun
	late, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.service.Stop(late); !errors.Is(err, context.Canceled) {
		t.Errorf("Stop without time: %v, want that it gave up", err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.service.Stop(t.Context()) }()
	for { // the subscriptions go while the request is under way
		_, err := s.client.Request("belfry.route.list.games", nil, patience)
		if errors.Is(err, nats.ErrNoResponders) {
			break
		}
	}
	select {
	case err := <-stopped:
		t.Errorf("Stop returned with a request under way: %v", err)
	default:
	}
	close(over)
	if got := <-answer; got != ok {
		t.Errorf("the request under way: %s, want %s", got, ok)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Stop: %v", err)
	}
}

// Without the server the requests that have come cannot drain, and must not begin
// unnoticed by Stop.
func TestStopWithoutServer(t *testing.T) {
	t.Parallel()
	const asked = 2 * service.MaxUnderWay
	var done atomic.Int64
	begun, over := make(chan struct{}, asked), make(chan struct{})
	s := start(t, api.Operations{Jobs: jobs{create: func(context.Context, job.Job) error {
		begun <- struct{}{}
		<-over
		done.Add(1)
		return nil
	}}, Routes: noRoutes{}}, nil)
	for i := range asked {
		if err := s.client.Publish("belfry.job.create.games.c", []byte(newJob(i))); err != nil {
			t.Fatal(err)
		}
	}
	s.expect(t, "belfry.route.list.games", "", `{"routes":[]}`) // so all of them have come
	for range service.MaxUnderWay {
		<-begun
	}
	patient := time.After(patience)
	cut := s.conn.StatusChanged(nats.RECONNECTING)
	s.server.Stop()
	select {
	case <-cut:
	case <-patient:
		t.Fatal("the connection does not notice that its server is gone")
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.service.Stop(t.Context()) }()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !s.service.Closed() {
		select {
		case <-look.C:
		case <-patient:
			t.Fatal("Stop does not close the service")
		}
	}
	close(over)
	if err := <-stopped; err != nil {
		t.Errorf("Stop: %v", err)
	}
	// One more had its turn already, and waited for a free place.
	if n := done.Load(); n != service.MaxUnderWay && n != service.MaxUnderWay+1 {
		t.Errorf("%d of %d requests were worked on, want the %d under way", n, asked, service.MaxUnderWay)
	}
}

// The sender of a request cannot make Belfry write its answer into a stream.
func TestAnswersGoToInboxes(t *testing.T) {
	t.Parallel()
	var log logtest.Log
	s := start(t, api.Operations{}, func(c *service.Config) {
		c.OwnInbox = func(subject string) bool { return strings.HasPrefix(subject, "_INBOX.secret.") }
		c.Log = log.Logger()
	})
	s.expect(t, "belfry.route.create.games", `{"id":"r","type":"NATS"}`, ok)
	// The partition does not exist: the timer writes on the existing ones.
	heard, err := s.client.SubscribeSync("fence.7")
	if err != nil {
		t.Fatal(err)
	}
	for i, reply := range []string{"fence.7", "fence", "$KV.routes.games.r", "fires.games.r", "inbox.mine", "_INBOX.secret.1"} {
		if err := s.client.PublishRequest("belfry.job.create.games.c", reply, []byte(newJob(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.client.Publish("belfry.job.create.games.c", []byte(newJob(100))); err != nil { // it wants no answer
		t.Fatal(err)
	}
	var got *nats.Msg
	for { // it is not waited for
		if got = s.ask(t, "belfry.job.list.games", ""); strings.Contains(string(got.Data), `"100"`) {
			break
		}
	}
	if n := strings.Count(string(got.Data), `"id"`); n != 1 {
		t.Errorf("the jobs are %s, want only 100", got.Data)
	}
	if text := log.String(); !strings.Contains(text, "left undone") || strings.Contains(text, "secret") {
		t.Errorf("the log is %s, want that requests were left undone, without the reply subject", text)
	}
	if n, _, err := heard.Pending(); err != nil || n > 0 {
		t.Errorf("%d messages on fence.7, %v; want none", n, err)
	}
}

// A page that is too large for the server is refused, and the error says what helps.
func TestLargeAnswer(t *testing.T) {
	t.Parallel()
	s := start(t, api.Operations{Jobs: jobs{get: func(_ context.Context, key job.Key) (job.Record, error) {
		return job.Record{Arming: job.Arming{Job: job.Job{Key: key, Meta: bytes.Repeat([]byte("1"), 2<<20)}}}, nil
	}}}, nil)
	got := s.ask(t, "belfry.job.get.games.c", `{"id":"1"}`)
	if text := string(got.Data); !strings.Contains(text, "the NATS server takes 1048576; lists take a smaller limit") || !strings.HasSuffix(text, `"code":"E012"}`) {
		t.Errorf("got %s, want E012", text)
	}
}

func TestTraceparent(t *testing.T) {
	t.Parallel()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	kept := make(chan string, 1)
	exported := tracetest.NewInMemoryExporter()
	s := start(t, api.Operations{Jobs: jobs{create: func(_ context.Context, j job.Job) error {
		kept <- j.Trace
		return nil
	}}}, func(c *service.Config) { c.Tracer = tracing.New(sdktrace.WithSyncer(exported), "v1") })
	s.expect(t, "belfry.job.create.games.c", newJob(1), ok, job.HeaderTrace, parent)
	if got := <-kept; !strings.HasPrefix(got, "00-0af7651916cd43dd8448eb211c80319c-") || got == parent {
		t.Errorf("the job keeps the trace %q, want that of the request's span", got)
	}
	s.expect(t, "belfry.job.create.games.c", newJob(1), ok, job.HeaderTrace, "nonsense")
	if got := <-kept; strings.Contains(got, "nonsense") {
		t.Errorf("the job keeps the trace %q", got)
	}
	s.expect(t, "belfry.job.create.games.c", newJob(1), ok, job.HeaderTrace, parent, job.HeaderTrace, parent)
	if got := <-kept; strings.Contains(got, "0af7651916cd43dd8448eb211c80319c") {
		t.Errorf("of two traces the job keeps %q, want one of its own", got)
	}
}

func FuzzRequest(f *testing.F) {
	for _, seed := range [][3]string{
		{"games", `{"id":"1","trigger_time":4102444800000,"route":"r"}`, `"7"`},
		{"=C3=A9", `{"id":"1"}`, "*"}, {"=", "{", `"`}, {"a=2", `{"limit":1}`, ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	s := start(f, api.Operations{
		Jobs: jobs{
			create: func(_ context.Context, j job.Job) error { return j.Check() },
			get:    func(_ context.Context, key job.Key) (job.Record, error) { return job.Record{}, key.Check() },
		},
		Routes: noRoutes{},
	}, nil)
	f.Fuzz(func(t *testing.T, token, body, tag string) {
		if token == "" || strings.ContainsAny(token, ".*> \t\r\n\x00") || len(body) > 1<<19 || strings.ContainsAny(tag, "\r\n") {
			return // no token, message or header of NATS
		}
		for _, subject := range []string{"belfry.job.create." + token + ".c", "belfry.job.get.db." + token, "belfry.route.list." + token} {
			got := s.ask(t, subject, body, "If-Match", tag)
			if status := got.Header.Get(micro.ErrorCodeHeader); len(got.Data) == 0 || strings.HasPrefix(status, "5") {
				t.Errorf("%s %q If-Match %q: %s %s", subject, body, tag, status, got.Data)
			}
		}
	})
}

// Without room, requests over NATS are refused, but not those of other dbs. The memory
// held for a request is released with its answer.
func TestRoomOverNATS(t *testing.T) {
	t.Parallel()
	memory := room.New(room.Config{Bytes: 16 << 20, Patience: time.Millisecond})
	s := start(t, api.Operations{}, func(cfg *service.Config) { cfg.Memory = memory })
	for _, db := range []string{"full", "other"} {
		s.expect(t, "belfry.route.create."+db, `{"id":"r","type":"NATS"}`, ok)
	}
	large := `{"id":"a","trigger_time":4102444800000,"route":"r","meta":"` + strings.Repeat("x", 300<<10) + `"}`
	memory.Force("full", 8<<20)
	const refusal = `{"error":"requests hold too much memory","code":"E305"}`
	for subject, body := range map[string]string{
		"belfry.job.create.full.coll": large,
		"belfry.job.get.full.coll":    `{"id":"a"}`,
		"belfry.job.list.full":        `{}`,
		"belfry.job.delete.full.coll": `{"id":"a"}`,
	} {
		s.expect(t, subject, body, refusal)
	}
	s.expect(t, "belfry.job.create.other.coll", large, ok)
	if got := s.ask(t, "belfry.job.get.other.coll", `{"id":"a"}`); !strings.Contains(string(got.Data), `"scheduled"`) {
		t.Errorf("the job of the other db is answered %.200s", got.Data)
	}
	waittest.Eventually(t, func() string {
		if held := memory.Held(); held != 8<<20 {
			return fmt.Sprintf("%d bytes are held in the end, want what the full db was given", held)
		}
		return ""
	})
}
