package service_test

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"belfry/api"
	"belfry/api/service"
	"belfry/internal/job"
	"belfry/internal/natstest"
	"belfry/internal/waittest"
	"belfry/streams"
	"belfry/streams/wire"
)

const patience = waittest.Patience

// site is a service on the test's own server, and a client of it.
type site struct {
	server  *natstest.Server
	service *service.Service
	conn    *nats.Conn // the connection of the service that was started last
	client  *nats.Conn
	cfg     service.Config
}

// start runs the service over the operations, or over a real store if they are
// empty. edit may change the rest of the configuration.
func start(t testing.TB, ops api.Operations, edit func(*service.Config)) *site {
	t.Helper()
	s := &site{server: natstest.Start(t)}
	if ops.Jobs == nil && ops.Routes == nil {
		store, err := streams.Open(t.Context(), s.server.Connect(), streams.Config{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ops.Jobs, ops.Routes = store.Jobs(), store.Routes()
		go func() { _ = store.Run(t.Context()) }() // ends with the test
	}
	s.cfg = service.Config{Operations: ops, Unescape: wire.Unescape, Version: "v1.2.3", Log: slog.New(slog.DiscardHandler)}
	if edit != nil {
		edit(&s.cfg)
	}
	s.service = s.more(t)
	s.client = s.server.Connect()
	return s
}

// more runs another instance of the service, which ends with the test.
func (s *site) more(t testing.TB) *service.Service {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	nc, err := nats.Connect(s.server.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	s.conn = nc
	running, err := service.Start(ctx, nc, s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := running.Stop(ctx); err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
	return running
}

// ask sends a request with headers, given as alternating names and values.
func (s *site) ask(t testing.TB, subject, body string, header ...string) *nats.Msg {
	t.Helper()
	m := nats.NewMsg(subject)
	m.Data = []byte(body)
	for i := 0; i < len(header); i += 2 {
		m.Header.Add(header[i], header[i+1])
	}
	answer, err := s.client.RequestMsg(m, patience)
	if err != nil {
		t.Fatalf("%s %s: %v", subject, body, err)
	}
	return answer
}

// expect sends a request and checks the body of its answer, and its headers if
// it is a refusal.
func (s *site) expect(t testing.TB, subject, body, want string, header ...string) {
	t.Helper()
	got := s.ask(t, subject, body, header...)
	if string(got.Data) != want {
		t.Errorf("%s %s:\n got %s\nwant %s", subject, body, got.Data, want)
	}
	status := got.Header.Get(micro.ErrorCodeHeader)
	if refused := strings.HasPrefix(want, `{"error":`); refused != (status != "") {
		t.Errorf("%s %s: its %s is %q and its body %s", subject, body, micro.ErrorCodeHeader, status, got.Data)
	}
}

const ok = `{"status":"ok"}`

// jobs is a store of jobs whose behavior the test sets.
type jobs struct {
	api.Jobs
	create func(context.Context, job.Job) error
	get    func(context.Context, job.Key) (job.Record, error)
}

func (j jobs) Create(ctx context.Context, one job.Job) error { return j.create(ctx, one) }

func (j jobs) Get(ctx context.Context, key job.Key) (job.Record, error) { return j.get(ctx, key) }

// newJob is the body of a job, far from due.
func newJob(id int) string {
	return `{"id":"` + strconv.Itoa(id) + `","trigger_time":4102444800000,"route":"r"}`
}
