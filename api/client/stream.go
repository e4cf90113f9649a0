package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// uploadIdle is how long a server may take nothing of an upload, or think about its
// answer. It is long because networks hold megabytes of it, a hundred thousand entries
// of a backup, and a slow server works through them unseen.
const uploadIdle = 30 * time.Minute

var errCut = errors.New("the connection was cut")

// stall ends a request that stands still for too long. Its timer runs while the
// server is to do something, and rests while the caller is.
type stall struct {
	limit  time.Duration
	timer  *time.Timer
	ctx    context.Context // the request's context
	cancel context.CancelCauseFunc
}

// errStalled is the cause of a context that a stall has ended.
var errStalled = errors.New("the server stood still for too long")

func newStall(ctx context.Context, limit time.Duration) *stall {
	ctx, cancel := context.WithCancelCause(ctx)
	return &stall{limit, time.AfterFunc(limit, func() { cancel(errStalled) }), ctx, cancel}
}

// resume restarts the timer, unless the request has ended.
func (s *stall) resume() {
	if s.ctx.Err() == nil {
		s.timer.Reset(s.limit)
	}
}

func (s *stall) end() {
	s.cancel(nil)
	s.timer.Stop()
}

// why returns an error of the request, with its true cause if that is a stall.
func (s *stall) why(err error) error {
	switch {
	case errors.Is(context.Cause(s.ctx), errStalled):
		return fmt.Errorf("%w: nothing has moved for %v", ErrUnreachable, s.limit)
	case errors.Is(err, io.ErrUnexpectedEOF): // the caller could take it for its own
		return fmt.Errorf("%w: %w", ErrUnreachable, errCut)
	case !errors.Is(err, ErrUnreachable):
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return err
}

// Download sends a GET and returns the body of a 200, however long it is and
// takes, unless it stands still for a minute; the caller closes it. Every other
// answer is an [*Error]. Errors of the body wrap [ErrUnreachable].
func (c *Client) Download(ctx context.Context, path string) (io.ReadCloser, error) {
	s := newStall(ctx, timeout)
	rsp, err := c.send(s.ctx, c.streams, http.MethodGet, path, http.Header{}, nil)
	if err != nil {
		defer s.end()
		return nil, s.why(err)
	}
	if rsp.StatusCode != http.StatusOK {
		defer s.end()
		_, err := s.read(rsp)
		return nil, err
	}
	return &download{rsp.Body, s}, nil
}

type download struct {
	body  io.ReadCloser
	stall *stall
}

func (d *download) Read(p []byte) (int, error) {
	d.stall.resume()
	n, err := d.body.Read(p)
	d.stall.timer.Stop() // the caller's time in between does not count
	if err != nil && err != io.EOF {
		err = fmt.Errorf("couldn't read the answer to its end: %w", d.stall.why(err))
	}
	return n, err
}

func (d *download) Close() error {
	d.stall.end()
	return d.body.Close()
}

// Upload sends a POST with a body of any length and returns the JSON of a 200,
// however long that takes, unless the server stands still for half an hour.
// Every other answer is an [*Error].
func (c *Client) Upload(ctx context.Context, path string, body io.Reader) (json.RawMessage, error) {
	s := newStall(ctx, uploadIdle)
	defer s.end()
	// This makes a refusal come, and be read, before the body is sent.
	header := http.Header{"Expect": {"100-continue"}}
	rsp, err := c.send(s.ctx, c.streams, http.MethodPost, path, header, &upload{body, s})
	if err != nil {
		return nil, s.why(err)
	}
	return s.read(rsp)
}

type upload struct {
	body  io.Reader
	stall *stall
}

func (u *upload) Read(p []byte) (int, error) {
	u.stall.timer.Stop() // the caller's time does not count
	defer u.stall.resume()
	return u.body.Read(p)
}

// read is [read] for an answer that may come too late.
func (s *stall) read(rsp *http.Response) (json.RawMessage, error) {
	answer, err := read(rsp)
	var refused *Error
	if err != nil && !errors.As(err, &refused) {
		err = s.why(err)
	}
	return answer, err
}
