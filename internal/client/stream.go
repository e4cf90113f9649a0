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

// errStalled: nothing has come or gone for so long as a request may take.
var errStalled = errors.New("the server has been silent for a minute")

// Download sends a GET and returns the body of a 200, however long it is and
// takes, unless it stands still for a minute; the caller closes it. Every other
// answer is an [*Error].
func (c *Client) Download(ctx context.Context, path string) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	d := &download{idle: time.AfterFunc(timeout, func() { cancel(errStalled) }), ctx: ctx, cancel: cancel}
	rsp, err := c.send(ctx, c.streams, http.MethodGet, path, http.Header{}, nil)
	if err != nil {
		defer d.end()
		return nil, d.why(err)
	}
	if rsp.StatusCode != http.StatusOK {
		defer d.end()
		_, err := read(rsp)
		return nil, err
	}
	d.body = rsp.Body
	return d, nil
}

type download struct {
	body   io.ReadCloser
	idle   *time.Timer
	ctx    context.Context
	cancel context.CancelCauseFunc
}

func (d *download) Read(p []byte) (int, error) {
	d.idle.Reset(timeout)
	n, err := d.body.Read(p)
	d.idle.Stop() // what the caller does in between takes its own time
	if err != nil && err != io.EOF {
		err = fmt.Errorf("couldn't read the answer of the server to its end: %w", d.why(err))
	}
	return n, err
}

func (d *download) Close() error {
	d.end()
	return d.body.Close()
}

func (d *download) end() {
	d.idle.Stop()
	d.cancel(nil)
}

// why is the cause of an error that a stall has brought about.
func (d *download) why(err error) error {
	if errors.Is(context.Cause(d.ctx), errStalled) {
		return errStalled
	}
	return err
}

// Upload sends a POST with a body of any length and returns the JSON of a 200,
// however long that takes. Every other answer is an [*Error].
func (c *Client) Upload(ctx context.Context, path string, body io.Reader) (json.RawMessage, error) {
	rsp, err := c.send(ctx, c.streams, http.MethodPost, path, http.Header{}, body)
	if err != nil {
		return nil, err
	}
	return read(rsp)
}
