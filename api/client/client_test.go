package client_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"belfry/api/client"
	"belfry/internal/porttest"
)

func TestDo(t *testing.T) {
	t.Parallel()
	var seen string
	status, answer := 200, `{"status":"ok"}`
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = fmt.Sprintf("%s %s %s %s", r.Method, r.URL.EscapedPath(), r.Header.Get("Authorization"), body)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		io.WriteString(w, answer+"\n")
	}))
	defer srv.Close()
	c, err := client.New(srv.URL+"/", "secret")
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Do(t.Context(), "POST", client.Path("job", "a/b", "ü %"), map[string]int{"n": 1})
	if string(got) != answer || err != nil {
		t.Errorf("the answer is %s, %v; want %s", got, err, answer)
	}
	if want := `POST /job/a%2Fb/%C3%BC%20%25 Bearer secret {"n":1}`; seen != want {
		t.Errorf("the server saw %s, want %s", seen, want)
	}
	for _, tt := range []struct {
		status int
		answer string
		want   client.Error
		text   string
	}{
		{403, `{"error":"no","code":"E403"}`, client.Error{Status: 403, Code: "E403", Reason: "no"}, "no (E403)"},
		{502, `<html>`, client.Error{Status: 502, Reason: "the server answered 502 Bad Gateway, and not as Belfry does"}, "the server answered 502 Bad Gateway, and not as Belfry does"},
		{307, `{}`, client.Error{Status: 307, Reason: "the server answered 307 Temporary Redirect, and not as Belfry does"}, "the server answered 307 Temporary Redirect, and not as Belfry does"},
		{200, `<html>`, client.Error{Status: 200, Reason: "the server answered 200 OK, and not as Belfry does"}, "the server answered 200 OK, and not as Belfry does"},
	} {
		status, answer = tt.status, tt.answer
		_, err := c.Do(t.Context(), "GET", "/x", nil)
		var refused *client.Error
		if !errors.As(err, &refused) || cmp.Diff(tt.want, *refused) != "" || err.Error() != tt.text {
			t.Errorf("%d %s: got %v, want %v", tt.status, tt.answer, err, tt.want)
		}
	}
	nobody, err := client.New("http://"+porttest.Unused(t), "secret")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nobody.Do(t.Context(), "GET", "/x", nil); err == nil || !strings.HasPrefix(err.Error(), "couldn't reach the server: ") || strings.Contains(err.Error(), "secret") {
		t.Errorf("without a server: %v", err)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, server := range []string{"", "127.0.0.1:8080", "ftp://h", "http://", "http://u:hunter2@h", "http://h?hunter2", "http://h#x", "http://[::1"} {
		if _, err := client.New(server, ""); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the server %q: error %v, want one without the password", server, err)
		}
	}
	if _, err := client.New("http://h", "hunter2\n"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a token with a newline: error %v, want one without the token", err)
	}
}

// Streams work in both directions, and are refused like other requests.
func TestStreams(t *testing.T) {
	t.Parallel()
	const long = 1 << 20
	status := 200
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		switch {
		case status != 200:
			io.WriteString(w, `{"error":"no","code":"E141"}`)
		case r.Method == "GET":
			io.WriteString(w, strings.Repeat("x", long))
			if r.URL.Path == "/cut" {
				panic(http.ErrAbortHandler)
			}
		default:
			fmt.Fprintf(w, `{"read":%d,"ok":%t,"as":%q}`, n, err == nil, r.Header.Get("Authorization"))
		}
	}))
	defer srv.Close()
	c, err := client.New(srv.URL, "secret")
	if err != nil {
		t.Fatal(err)
	}
	download := func(path string) (int, error) {
		body, err := c.Download(t.Context(), path)
		if err != nil {
			return 0, err
		}
		defer body.Close()
		got, err := io.ReadAll(body)
		return len(got), err
	}
	if n, err := download("/x"); n != long || err != nil {
		t.Errorf("the download has %d bytes, %v; want %d", n, err, long)
	}
	if _, err := download("/cut"); err == nil || !errors.Is(err, client.ErrUnreachable) || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a download that is cut: %v, want ErrUnreachable", err)
	}
	want := fmt.Sprintf(`{"read":%d,"ok":true,"as":"Bearer secret"}`, long)
	if got, err := c.Upload(t.Context(), "/x", strings.NewReader(strings.Repeat("x", long))); string(got) != want || err != nil {
		t.Errorf("the answer to an upload is %s, %v; want %s", got, err, want)
	}
	status = 409
	var refused *client.Error
	if _, err := download("/x"); !errors.As(err, &refused) || refused.Code != "E141" {
		t.Errorf("a download that is refused: %v, want E141", err)
	}
	if _, err := c.Upload(t.Context(), "/x", strings.NewReader("x")); !errors.As(err, &refused) || refused.Code != "E141" {
		t.Errorf("an upload that is refused: %v, want E141", err)
	}
}
