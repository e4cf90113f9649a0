package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"belfry/api"
	"belfry/internal/contract"
	"belfry/internal/job"
	"belfry/internal/loglimit"
	"belfry/internal/metrics"
	"belfry/internal/panics"
	"belfry/internal/room"
)

// handler works on the requests of an endpoint concurrently: micro itself waits for
// each before the next.
func (s *Service) handler(e *endpoint) micro.Handler {
	free := make(chan struct{}, maxUnderWay)
	return micro.HandlerFunc(func(r micro.Request) {
		defer panics.Recover(s.cfg.Log, "a request to the NATS service", s.cfg.Metrics.Panicked)
		if !s.mayAnswer(r.Reply()) {
			// The log has no reply subject, since it may be a secret.
			ctx := loglimit.Outside(context.Background(), "a request was left undone")
			s.cfg.Log.WarnContext(ctx, "a request was left undone: where its answer should go is no inbox of a client", "endpoint", e.name)
			return
		}
		if !s.begin() {
			s.refuse(e, r, fmt.Errorf("%w: Belfry is stopping", job.ErrUnavailable))
			return
		}
		free <- struct{}{}
		go func() {
			defer s.underWay.Done()
			defer func() { <-free }()
			defer panics.Recover(s.cfg.Log, "a request to the NATS service", s.cfg.Metrics.Panicked)
			s.handle(e, r)
		}()
	})
}

// mayAnswer reports whether answers may go to a reply subject. Clients make theirs
// with an underscore in front, as _INBOX has it. A caller chooses it freely, and
// Belfry may publish where its clients may not: into a bucket, for one, or to an
// inbox of its own, where it would pass for an answer of JetStream. Without a reply
// subject the request wants no answer.
func (s *Service) mayAnswer(reply string) bool {
	return reply == "" || strings.HasPrefix(reply, "_") && (s.cfg.OwnInbox == nil || !s.cfg.OwnInbox(reply))
}

// handle does what a request asks, and answers.
func (s *Service) handle(e *endpoint, r micro.Request) {
	began := time.Now()
	s.cfg.Metrics.RequestBegan()
	span := s.cfg.Tracer.Server(api.Traceparent(r.Headers().Values(job.HeaderTrace)), e.name)
	span.Text("rpc.system", "nats")
	span.Text("rpc.method", e.name)

	var held *room.Ticket
	defer func() { held.Close() }()
	answer, err := s.do(e, r, span.Traceparent(), &held)
	row := api.ErrorRow{Status: http.StatusOK}
	if err == nil {
		err = s.reply(r, answer)
	}
	if err != nil {
		row = s.refuse(e, r, err)
	}

	api.EndSpan(span, row.Status)
	took := time.Since(began)
	s.cfg.Metrics.RequestEnded(metrics.MethodNATS, e.pattern(), row.Status, took)
	s.stats[e.name].add(row.Code, took)
}

// do calls the operation with the ids of the subject. held is what the request
// holds, until its answer is sent.
func (s *Service) do(e *endpoint, r micro.Request, trace string, held **room.Ticket) (a api.Answer, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = api.Panicked(v)
		}
	}()
	limit := api.MaxBody
	if e.like.JobBody {
		limit = s.cfg.Operations.MaxJobBody()
	}
	if len(r.Data()) > limit {
		return api.Answer{}, fmt.Errorf("%w: the body has more than %d bytes", job.ErrTooLarge, limit)
	}
	asked := api.Request{Body: r.Data(), IfMatch: r.Headers().Values("If-Match"), IfNoneMatch: r.Headers().Values("If-None-Match"), Trace: trace}
	dbToken, collectionToken := e.ids(strings.TrimPrefix(r.Subject(), s.cfg.Prefix))
	if asked.DB, err = s.id("db", dbToken); err != nil {
		return api.Answer{}, err
	}
	if collectionToken != "" {
		if asked.Collection, err = s.id("collection", collectionToken); err != nil {
			return api.Answer{}, err
		}
	}
	*held = s.cfg.Memory.Ticket(asked.DB)
	// A large body is already here, and does not wait.
	if n := len(r.Data()); n > api.MaxBody && !(*held).TryAdd(2*int64(n)) {
		return api.Answer{}, room.ErrFull
	}
	ctx, cancel := context.WithTimeout(room.With(s.ctx, *held), s.cfg.Timeout)
	defer cancel()
	a, err = e.do(s.cfg.Operations, ctx, asked)
	if errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w: Belfry is stopping", context.DeadlineExceeded) // answered as if its time were over
	}
	return a, err
}

// id reads an id from a subject.
func (s *Service) id(name, token string) (string, error) {
	id, err := s.cfg.Unescape(token)
	if err != nil {
		return "", fmt.Errorf("%w: %s in the subject: %w", job.ErrID, name, err)
	}
	return id, job.CheckID(name, id)
}

// reply answers with 200.
func (s *Service) reply(r micro.Request, a api.Answer) error {
	m := &nats.Msg{Data: a.Body}
	if a.Revision != 0 {
		m.Header = nats.Header{"ETag": {api.ETag(a.Revision)}}
	}
	err := s.send(r, m)
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("%w: the answer has %d bytes, and the NATS server takes %d; lists take a smaller limit",
			job.ErrTooLarge, len(a.Body), s.nc.MaxPayload())
	}
	return err
}

// refuse answers err by its row.
func (s *Service) refuse(e *endpoint, r micro.Request, err error) api.ErrorRow {
	row, reason := api.ReasonOf(err, e.like.Write)
	row.Log(s.cfg.Log, err, "subject", r.Subject())
	m := &nats.Msg{Data: contract.AppendRefusal(nil, reason, row.Code), Header: nats.Header{
		micro.ErrorHeader:     {reason},
		micro.ErrorCodeHeader: {strconv.Itoa(row.Status)},
	}}
	if after := row.RetryAfter(); after != "" {
		m.Header.Set("Retry-After", after)
	}
	if err := s.send(r, m); err != nil {
		ctx := loglimit.Cause(loglimit.Outside(context.Background(), "couldn't answer a request"))
		s.cfg.Log.WarnContext(ctx, "couldn't answer a request", "subject", r.Subject(), "error", err)
	}
	return row
}

// send answers by itself. As soon as the handler returns, micro reads without a lock
// what its own answering writes.
func (s *Service) send(r micro.Request, m *nats.Msg) error {
	if m.Subject = r.Reply(); m.Subject == "" {
		return nil
	}
	return s.nc.PublishMsg(m)
}
