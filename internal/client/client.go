// Package client calls Belfry's HTTP API, for the commands that talk to a
// running service. It knows the form of requests, answers and refusals, not
// the resources.
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
	"strings"
	"time"
)

// Client is a server and the token to show it. It is safe for concurrent use.
type Client struct {
	base  string // without a slash at its end
	token string
	http  *http.Client
	long  *http.Client // without a timeout
}

// Error is an answer that is no success.
type Error struct {
	Status int
	Code   string // of Belfry's table; empty if somebody else answered
	Reason string
}

func (e *Error) Error() string {
	if e.Code == "" {
		return e.Reason
	}
	return e.Reason + " (" + e.Code + ")"
}

const (
	timeout   = time.Minute
	maxAnswer = 64 << 20
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
	// A redirect would show the token to wherever it leads.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{
		base:  strings.TrimSuffix(u.String(), "/"),
		token: token,
		http:  &http.Client{Timeout: timeout, CheckRedirect: stay},
		long:  &http.Client{CheckRedirect: stay},
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

// Do sends a request, with body as JSON unless it is nil, and returns the JSON
// of a 200. Every other answer is an [*Error].
func (c *Client) Do(ctx context.Context, method, path string, body any) (json.RawMessage, error) {
	var sent io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		sent = bytes.NewReader(data)
	}
	rsp, err := c.send(ctx, c.http, method, path, sent)
	if err != nil {
		return nil, err
	}
	return answerOf(rsp)
}

func (c *Client) send(ctx context.Context, by *http.Client, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	rsp, err := by.Do(req)
	if err != nil {
		return nil, fmt.Errorf("couldn't reach the server: %w", err)
	}
	return rsp, nil
}

// answerOf reads and closes an answer of JSON.
func answerOf(rsp *http.Response) (json.RawMessage, error) {
	defer rsp.Body.Close()
	answer, err := io.ReadAll(http.MaxBytesReader(nil, rsp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("couldn't read the answer of the server: %w", err)
	}
	if rsp.StatusCode == http.StatusOK && json.Valid(answer) {
		return bytes.TrimSpace(answer), nil
	}
	refused := struct{ Error, Code string }{}
	if err := json.Unmarshal(answer, &refused); err != nil || refused.Code == "" {
		return nil, &Error{Status: rsp.StatusCode, Reason: fmt.Sprintf("the server answered %s, and not as Belfry does", rsp.Status)}
	}
	return nil, &Error{Status: rsp.StatusCode, Code: refused.Code, Reason: refused.Error}
}
