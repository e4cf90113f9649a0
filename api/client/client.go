// Package client calls Belfry's HTTP API, with its requests and answers as Go
// types whose times are unix milliseconds.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client is a server and the token to show it. It is safe for concurrent use.
type Client struct {
	base  string // without a slash at its end
	token string
	http  *http.Client
	// streams has no timeout: what it carries may be of any length.
	streams *http.Client
}

// ErrUnreachable is wrapped by an error when no answer came, or not all of it.
var ErrUnreachable = errors.New("couldn't reach the server")

// Error is an answer that is not a success.
type Error struct {
	Status int    `json:"-"`     // the HTTP status
	Code   string `json:"code"`  // a code of Belfry's table; empty if somebody else answered
	Reason string `json:"error"` // for humans
}

func (e *Error) Error() string {
	if e.Code == "" {
		return e.Reason
	}
	return e.Reason + " (" + e.Code + ")"
}

const (
	timeout   = time.Minute // for one request, except a stream
	maxAnswer = 64 << 20
	maxTries  = 10
)

// New returns a client of the server at a URL, as in http://127.0.0.1:8080. An
// empty token is none. No error quotes the URL's credentials or the token.
func New(server, token string) (*Client, error) {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the server: an http or https URL is accepted, without user and query, as in http://127.0.0.1:8080")
	}
	if strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return nil, errors.New("the token: printable ASCII characters without spaces are accepted")
	}
	// A redirect would show the token to the server that it leads to.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{
		base:    strings.TrimSuffix(u.String(), "/"),
		token:   token,
		http:    &http.Client{Timeout: timeout, CheckRedirect: stay},
		streams: &http.Client{CheckRedirect: stay},
	}, nil
}

// Path joins segments to a path, each escaped.
func Path(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteString("/" + url.PathEscape(s))
	}
	return b.String()
}

// Do sends a request, with body as [Encode] writes it, and returns the JSON of a
// 200. Every other answer is an [*Error].
func (c *Client) Do(ctx context.Context, method, path string, body any) (json.RawMessage, error) {
	return c.Change(ctx, method, path, "", body)
}

// Change is like [Client.Do], and sends the ETag of the resource to change in
// If-Match, unless it is empty.
func (c *Client) Change(ctx context.Context, method, path, etag string, body any) (json.RawMessage, error) {
	answer, _, err := c.exchange(ctx, method, path, etag, body)
	return answer, err
}

// Get returns the JSON of a resource and its ETag.
func (c *Client) Get(ctx context.Context, path string) (answer json.RawMessage, etag string, err error) {
	answer, header, err := c.exchange(ctx, http.MethodGet, path, "", nil)
	return answer, header.Get("ETag"), err
}

// exchange sends a request, and sends it again when the server says that there are too
// many requests: in that case the server has done nothing.
func (c *Client) exchange(ctx context.Context, method, path, etag string, body any) (json.RawMessage, http.Header, error) {
	data, err := Encode(body)
	if err != nil {
		return nil, nil, err
	}
	for try := 1; ; try++ {
		var sent io.Reader
		if data != nil {
			sent = bytes.NewReader(data)
		}
		header := http.Header{}
		if etag != "" {
			header.Set("If-Match", etag)
		}
		rsp, err := c.send(ctx, c.http, method, path, header, sent)
		if err != nil {
			return nil, nil, err
		}
		answer, err := read(rsp)
		wait := retryAfter(rsp)
		if rsp.StatusCode != http.StatusTooManyRequests || wait == 0 || try == maxTries {
			return answer, rsp.Header, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// retryAfter is how long the answer asks to wait. It is 0 if the answer does not ask,
// or asks for too long to wait without asking the caller.
func retryAfter(rsp *http.Response) time.Duration {
	seconds, err := strconv.Atoi(rsp.Header.Get("Retry-After"))
	if err != nil || seconds < 0 || seconds > 10 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// send sends one request; with an error there is no response.
func (c *Client) send(ctx context.Context, with *http.Client, method, path string, header http.Header, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header = header
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	rsp, err := with.Do(req)
	if err != nil {
		return nil, unreachable(err)
	}
	return rsp, nil
}

// unreachable leaves out the method and URL that [url.Error] would add.
func unreachable(err error) error {
	var cause *url.Error
	if errors.As(err, &cause) {
		err = cause.Err
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// read reads an answer to its end.
func read(rsp *http.Response) (json.RawMessage, error) {
	defer rsp.Body.Close()
	answer, err := io.ReadAll(http.MaxBytesReader(nil, rsp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%w: couldn't read its answer: %w", ErrUnreachable, err)
	}
	if rsp.StatusCode == http.StatusOK && json.Valid(answer) {
		return bytes.TrimSpace(answer), nil
	}
	refused := &Error{Status: rsp.StatusCode}
	if err := json.Unmarshal(answer, refused); err != nil || refused.Code == "" {
		return nil, &Error{Status: rsp.StatusCode, Reason: fmt.Sprintf("the server answered %s, and not as Belfry does", rsp.Status)}
	}
	return nil, refused
}
