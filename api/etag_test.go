package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// manyTags is a list of the tags from 1 on.
func manyTags(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"%d"`, i+1))
	}
	return strings.Join(all, ", ")
}

func TestETags(t *testing.T) {
	t.Parallel()
	srv := server(t, config(newStore()))
	const (
		route = `{"id":"r","type":"REST","webhook_url":"http://x"}`
		body  = `{"id":"one","trigger_time":1667659342626,"route":"r"}`
	)
	expect(t, srv, "POST", "/route/db", route, 200, ok)
	expect(t, srv, "POST", "/job/db/coll", body, 200, ok)
	with := func(method, path, body, match string) answer {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("If-Match", match)
		return send(t, srv, req)
	}
	for _, method := range []string{"PUT", "DELETE"} {
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+"/job/db/coll/one", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("If-None-Match", "*")
		if got := send(t, srv, req); got.status != 400 || !strings.Contains(got.body, "E023") {
			t.Errorf("%s with If-None-Match: got %d %s, want 400 E023", method, got.status, got.body)
		}
	}
	for _, tt := range []struct{ path, body string }{
		{"/job/db/coll/one", body},
		{"/route/db/r", `{"id":"r","type":"REST","webhook_url":"http://y"}`},
	} {
		tag := do(t, srv, "GET", tt.path, "").header.Get("ETag")
		if tag != `"1"` {
			t.Errorf("GET %s: ETag %s, want \"1\"", tt.path, tag)
		}
		for _, step := range []struct {
			method, match string
			status        int
			code          string
		}{
			{"PUT", `"9"`, 412, "E110"}, {"DELETE", `"9"`, 412, "E110"},
			{"PUT", `9`, 400, "E023"}, {"DELETE", `W/1`, 400, "E023"}, {"DELETE", `w/"1"`, 400, "E023"}, {"PUT", `""`, 400, "E023"}, {"PUT", `"0"`, 400, "E023"},
			{"PUT", ``, 400, "E023"}, {"PUT", `,`, 400, "E023"}, {"PUT", `"1" "2"`, 400, "E023"}, {"PUT", `"1`, 400, "E023"}, {"PUT", `"1", x`, 400, "E023"},
			{"PUT", `"-1"`, 400, "E023"}, {"PUT", `"1x"`, 400, "E023"}, {"PUT", `"99999999999999999999"`, 400, "E023"}, {"PUT", manyTags(17), 400, "E023"},
			{"PUT", `"7", W/"9"`, 412, "E110"}, {"DELETE", `W/"9"`, 412, "E110"}, {"DELETE", `"9-gzip"`, 412, "E110"},
			{"PUT", tag, 200, ""}, {"PUT", tag, 412, "E110"}, {"PUT", "*", 200, ""}, {"DELETE", tag, 412, "E110"},
			{"PUT", `W/"3"`, 200, ""}, {"PUT", `"9", W/"4" ,"8"`, 200, ""}, {"PUT", `"5-gzip"`, 200, ""}, {"PUT", `W/"6--gzip"`, 200, ""}, {"PUT", `"7;br"`, 200, ""},
			{"PUT", `"1", *`, 200, ""}, {"PUT", manyTags(16), 200, ""}, {"DELETE", ` ,, "10" `, 200, ""},
		} {
			got := with(step.method, tt.path, tt.body, step.match)
			if got.status != step.status || !strings.Contains(got.body, step.code) {
				t.Errorf("%s %s with If-Match %s: got %d %s, want %d %s", step.method, tt.path, step.match, got.status, got.body, step.status, step.code)
			}
		}
	}
}
