package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
)

// Pages yields the answers to a list, page by page, until one has no cursor. An error
// is yielded last.
func (c *Client) Pages(ctx context.Context, path string, query url.Values) iter.Seq2[json.RawMessage, error] {
	return walk(func(cursor string) (json.RawMessage, error) {
		q := maps.Clone(query)
		if q == nil {
			q = url.Values{}
		}
		if cursor != "" {
			q.Set("cursor", cursor)
		}
		at := path
		if len(q) > 0 {
			at += "?" + q.Encode()
		}
		return c.Do(ctx, http.MethodGet, at, nil)
	})
}

// Selection selects what a request works on, part by part: a [Cancel] or a
// [LetterFilter].
type Selection interface {
	from(cursor string) any // the same, starting there
}

// Repeat yields the answers to a POST that is repeated with the cursor of the last
// answer in its body, until an answer has no cursor. An error is yielded last.
func (c *Client) Repeat(ctx context.Context, path string, body Selection) iter.Seq2[json.RawMessage, error] {
	return walk(func(cursor string) (json.RawMessage, error) {
		if cursor == "" {
			return c.Do(ctx, http.MethodPost, path, body)
		}
		return c.Do(ctx, http.MethodPost, path, body.from(cursor))
	})
}

func walk(ask func(cursor string) (json.RawMessage, error)) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		cursor := ""
		for {
			answer, err := ask(cursor)
			next := struct{ Cursor string }{}
			if err == nil {
				if err = json.Unmarshal(answer, &next); err != nil {
					err = fmt.Errorf("couldn't read the answer of the server: %w", err)
				}
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(answer, nil) || next.Cursor == "" {
				return
			}
			cursor = next.Cursor
		}
	}
}

// maxLine is the longest line of a stream, far longer than any of Belfry's.
const maxLine = 1 << 20

// Stream sends a body of any length and yields the lines of the answer as they come.
// An error is yielded last. It holds one line at a time, and sends on only while the
// lines are taken.
func (c *Client) Stream(ctx context.Context, path string, body io.Reader) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		ctx, leave := context.WithCancel(ctx)
		defer leave()
		// This makes a refusal come, and be read, before the body is sent.
		header := http.Header{"Content-Type": {"application/x-ndjson"}, "Expect": {"100-continue"}}
		rsp, err := c.send(ctx, c.streams, http.MethodPost, path, header, body)
		if err != nil {
			yield(nil, err)
			return
		}
		if rsp.StatusCode != http.StatusOK {
			_, err := read(rsp)
			yield(nil, err)
			return
		}
		defer rsp.Body.Close()
		lines := bufio.NewScanner(rsp.Body)
		lines.Buffer(nil, maxLine)
		for lines.Scan() {
			if !json.Valid(lines.Bytes()) {
				yield(nil, fmt.Errorf("%w: a line of its answer is no JSON", ErrUnreachable))
				return
			}
			if !yield(lines.Bytes(), nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(nil, fmt.Errorf("%w: its answer broke off: %w", ErrUnreachable, err))
		}
	}
}
