package client_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"belfry/api/client"
)

// A server other than Belfry may listen at the server's URL. Whatever it answers,
// callers get JSON or an error that says so, and every walk ends.
func FuzzAnswers(f *testing.F) {
	f.Add(200, "", []byte(`{"jobs":[{"id":"one"}],"cursor":"0-3-0"}`))
	f.Add(200, "", []byte("{\"n\":1}\n{\"n\":2,\"error\":\"x\",\"code\":\"E005\"}\n\n"))
	f.Add(200, "", []byte("{\"n\":1}\r\n{\"n\""))
	f.Add(200, "", []byte(`{"cursor":7}`))
	f.Add(403, "", []byte(`{"error":"no","code":"E403"}`))
	f.Add(503, "99", []byte(`{"error":{},"code":"E302"}`))
	f.Add(429, "-1", []byte(`null`))
	f.Add(307, "x", []byte(`<html>`))
	var status int
	var after string
	var answer []byte
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Retry-After", after)
		w.WriteHeader(status)
		if r.URL.Query().Has("cursor") { // the last page, so that a walk has an end
			io.WriteString(w, "{}")
			return
		}
		w.Write(answer)
	}))
	f.Cleanup(srv.Close)
	c, err := client.New(srv.URL, "secret")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s int, wait string, body []byte) {
		if s < 200 || s > 599 || s == 429 && wait != "" && wait != "-1" || strings.ContainsAny(wait, "\r\n\x00") {
			return // not an answer of net/http's server, or a slow one
		}
		status, after, answer = s, wait, body
		check := func(what string, got []byte, err error) {
			t.Helper()
			var refused *client.Error
			switch {
			case err == nil && (s != http.StatusOK || !json.Valid(got)):
				t.Errorf("%s of %d %q: got %q as a success", what, s, body, got)
			case errors.As(err, &refused) && (refused.Status != s || refused.Error() == ""):
				t.Errorf("%s of %d %q: refused with %+v", what, s, body, refused)
			case err != nil && strings.Contains(err.Error(), "secret") && !bytes.Contains(body, []byte("secret")):
				t.Errorf("%s of %d %q: the error tells the token: %v", what, s, body, err)
			}
		}
		each := func(what string, parts iter.Seq2[json.RawMessage, error]) {
			t.Helper()
			var last error
			for part, err := range parts {
				if last != nil {
					t.Errorf("%s of %d %q goes on after %v", what, s, body, last)
				}
				check(what, part, err)
				last = err
			}
		}
		got, _, err := c.Get(t.Context(), "/x")
		check("Get", got, err)
		got, err = c.Upload(t.Context(), "/x", strings.NewReader("x"))
		check("Upload", got, err)
		each("Pages", c.Pages(t.Context(), "/x", nil))
		each("Stream", c.Stream(t.Context(), "/x", strings.NewReader("x")))
		file, err := c.Download(t.Context(), "/x")
		if err != nil {
			check("Download", nil, err)
			return
		}
		defer file.Close()
		if read, err := io.ReadAll(file); err != nil || !bytes.Equal(read, body) || s != http.StatusOK {
			t.Errorf("Download of %d %q: got %q, %v", s, body, read, err)
		}
	})
}
