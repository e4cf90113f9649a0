package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/api/client"
)

func newClient(t *testing.T, handler http.HandlerFunc) *client.Client {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	c, err := client.New(srv.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPagesFollowTheCursor(t *testing.T) {
	t.Parallel()
	var asked []string
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, r.Method+" "+r.URL.RequestURI()+" "+string(body))
		switch len(asked) {
		case 1:
			io.WriteString(w, `{"n":1,"cursor":"a b"}`)
		case 2:
			io.WriteString(w, `{"n":2}`)
		default:
			w.WriteHeader(503)
			io.WriteString(w, `{"error":"no","code":"E302"}`)
		}
	})
	collect := func(pages func(func(json.RawMessage, error) bool)) (all []string, failed error) {
		for page, err := range pages {
			if err != nil {
				failed = err
				continue
			}
			all = append(all, string(page))
		}
		return all, failed
	}
	want := []string{`{"n":1,"cursor":"a b"}`, `{"n":2}`}
	if got, err := collect(c.Pages(t.Context(), "/x", url.Values{"limit": {"5"}})); err != nil || !slices.Equal(got, want) {
		t.Errorf("the pages are %q, %v, want %q", got, err, want)
	}
	asked = asked[:0]
	if got, err := collect(c.Repeat(t.Context(), "/y", client.Cancel{All: true})); err != nil || !slices.Equal(got, want) {
		t.Errorf("the answers are %q, %v, want %q", got, err, want)
	}
	var refused *client.Error
	if got, err := collect(c.Pages(t.Context(), "/z", nil)); len(got) != 0 || !errors.As(err, &refused) {
		t.Errorf("the pages of a refusal are %q, %v", got, err)
	}
	if diff := cmp.Diff([]string{`POST /y {"all":true}`, `POST /y {"cursor":"a b","all":true}`, "GET /z "}, asked); diff != "" {
		t.Error(diff)
	}
	for range c.Pages(t.Context(), "/z", nil) {
		break // ends it
	}
}

func TestChangeSendsTheTag(t *testing.T) {
	t.Parallel()
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("ETag", `"7"`)
		fmt.Fprintf(w, "%q", r.Header.Get("If-Match")+string(body))
	})
	_, tag, err := c.Get(t.Context(), "/x")
	if tag != `"7"` || err != nil {
		t.Fatalf("the tag is %q, %v", tag, err)
	}
	got, err := c.Change(t.Context(), "PUT", "/x", tag, json.RawMessage(`{ "a" : "<" }`))
	if want := `"\"7\"{ \"a\" : \"<\" }"`; string(got) != want || err != nil {
		t.Errorf("the server saw %s, %v, want %s", got, err, want)
	}
}

// A request that comes too fast is sent again when the server says so, a few times.
func TestTooManyRequestsAreRepeated(t *testing.T) {
	t.Parallel()
	requests := 0
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		if requests++; requests == 2 {
			io.Copy(w, r.Body)
			return
		}
		w.Header().Set("Retry-After", map[bool]string{true: "1", false: "60"}[requests == 1])
		w.WriteHeader(429)
		io.WriteString(w, `{"error":"too fast","code":"E429"}`)
	})
	begin := time.Now()
	got, err := c.Do(t.Context(), "POST", "/x", 1)
	if string(got) != "1" || err != nil || time.Since(begin) < time.Second {
		t.Errorf("after %v: %s, %v, want the answer to the second try after a second", time.Since(begin), got, err)
	}
	var refused *client.Error
	if _, err := c.Do(t.Context(), "POST", "/x", 1); !errors.As(err, &refused) || refused.Code != "E429" || requests != 3 {
		t.Errorf("a wait of a minute: %v after %d requests, want E429 after 3", err, requests)
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	cut := false
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refused" {
			w.WriteHeader(403)
			io.WriteString(w, `{"error":"no","code":"E403"}`)
			return
		}
		_ = http.NewResponseController(w).EnableFullDuplex()
		in := json.NewDecoder(r.Body)
		for {
			var n int
			if in.Decode(&n) != nil {
				return
			}
			fmt.Fprintf(w, "{\"n\":%d}\n", n)
			if cut && n == 2 {
				panic(http.ErrAbortHandler)
			}
			_ = http.NewResponseController(w).Flush()
		}
	})
	// Each line is answered before the next is sent.
	body, send := io.Pipe()
	go io.WriteString(send, "1\n")
	n := 0
	for line, err := range c.Stream(t.Context(), "/x", body) {
		if n++; err != nil || string(line) != fmt.Sprintf(`{"n":%d}`, n) {
			t.Fatalf("line %d is %s, %v", n, line, err)
		}
		if n == 3 {
			send.Close()
			continue
		}
		go fmt.Fprintln(send, n+1)
	}
	if n != 3 {
		t.Errorf("%d lines, want 3", n)
	}

	// A refusal comes although the body is long, and a broken answer is reported.
	var failed error
	for _, err := range c.Stream(t.Context(), "/refused", io.LimitReader(endless{}, 1<<30)) {
		failed = err
	}
	var refused *client.Error
	if !errors.As(failed, &refused) || refused.Code != "E403" {
		t.Errorf("a refused stream: %v, want E403", failed)
	}
	cut = true
	failed = nil
	for _, err := range c.Stream(t.Context(), "/x", strings.NewReader("1\n2\n3\n")) {
		failed = err
	}
	if !errors.Is(failed, client.ErrUnreachable) {
		t.Errorf("a stream that breaks off: %v", failed)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
