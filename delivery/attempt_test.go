package delivery_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/delivery"
	"belfry/internal/job"
)

// Each try is reported to the keeper of attempts before its result is written.
func TestAttempts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		times  int
		want   job.Attempt
	}{
		{"delivered", func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(20 * time.Millisecond)
			io.WriteString(w, "thanks")
		}, 1, job.Attempt{Status: 200, Duration: 20 * time.Millisecond, Response: []byte("thanks")}},
		{"failed", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "no table", http.StatusInternalServerError)
		}, 1, job.Attempt{Status: 500, Error: "status 500", Response: []byte("no table\n")}},
		{"timeout", hang, 1, job.Attempt{Duration: 15 * time.Second, Error: "timeout after 15s"}},
		{"timeout within the answer", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "wait")
			w.(http.Flusher).Flush()
			hang(w, r)
		}, 1, job.Attempt{Status: 200, Duration: delivery.BodyTime, Response: []byte("wait")}},
		{"handed out too often", nil, 20, job.Attempt{Error: "handed out 20 times without a result"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := newReceiver(t, tt.answer)
				s := newStore(t)
				due := time.Now().Add(-3 * time.Second)
				s.standing = func(job.Fire) (job.Standing, job.Record, error) {
					return job.Valid, job.Record{Replaces: job.Position{Due: due.UnixMilli()}}, nil
				}
				s.finishErr = func(int) error {
					if len(s.attempts) != 1 {
						t.Errorf("%d attempts are known as the result is written, want 1", len(s.attempts))
					}
					return nil
				}
				s.run(delivery.Config{}, rec.dial)
				started := time.Now()
				s.fire(s.addRoute("r", "http://h.example/"), func(h *job.Handover) { h.Attempt, h.Times = 2, tt.times })
				s.awaitAcks(1)
				tt.want.Number, tt.want.FireID, tt.want.Started, tt.want.Lateness = 2, "fire-1", started, 3*time.Second
				if diff := cmp.Diff([]job.Attempt{tt.want}, s.attempts); diff != "" {
					t.Errorf("attempts (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A receiver repeats the request: the secrets in it are not kept.
func TestAttemptHidesSecrets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key := secretOf("a")
		rec := newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "auth %q %q url %s key %s bare %s end", r.Header.Get("Authorization"), r.Header.Get("X-Short"), r.URL, key, key[6:])
		})
		s := newStore(t)
		s.run(delivery.Config{}, rec.dial)
		s.fire(s.addPolicy("r", "http://user:hunter3@h.example/x?token=hunter4", job.Policy{
			Secret:     key,
			OldSecrets: []job.OldSecret{{Secret: secretOf("b"), Until: 1}},
			Headers:    map[string]string{"Authorization": "Bearer hunter2", "X-Short": "pw"},
		}))
		s.awaitAcks(1)
		const want = `auth "********" "********" url /x?******** key ******** bare ******** end`
		if got := string(s.attempts[0].Response); got != want {
			t.Errorf("kept of the answer:\n got %s\nwant %s", got, want)
		}
	})
}

// The secrets in a URL are hidden in each form in which a receiver may repeat them.
func TestSecretsOfURL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		url, body, want string
	}{
		{"http://h.example/", "plain", "plain"},
		{"http://h.example/?token=abcd", "token abcd", "token ********"},
		{"http://h.example/?token=abcd&v=1", "?token=abcd&v=1 v1 abcd", "?******** v1 ********"},
		{"http://h.example/?a=%2Fsesame%2F", "%2Fsesame%2F is /sesame/", "******** is ********"},
		{"http://h.example/?a=open+up", "open+up is open up", "******** is ********"},
		{"http://h.example/?sesame&v=1", "it is sesame", "it is ********"},
		{"http://h.example/?a=50%zz", "it is 50%zz", "it is ********"},
		{"http://h.example/?a=123&b=1234", "123 1234", "123 ********"},
		{"http://h.example/?a=%2Fsesame%26", `{"a":"\/sesame\u0026","b":"/sesame&"}`, `{"a":"********","b":"********"}`},
		{"http://h.example/?a=o%22pen", `{"a":"o\"pen"}`, `{"a":"********"}`},
		{"http://user:hunter3@h.example/", "Basic dXNlcjpodW50ZXIz of user hunter3", "Basic ******** of user ********"},
		{"http://sesame@h.example/", "Basic c2VzYW1lOg== of sesame", "Basic ******** of ********"},
	} {
		target, err := url.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		got := delivery.Excerpt(strings.NewReader(tt.body), delivery.SecretsOf(job.Policy{}, target))
		if string(got) != tt.want {
			t.Errorf("%s, answered with %q: kept %q, want %q", tt.url, tt.body, got, tt.want)
		}
	}
}

func TestExcerpt(t *testing.T) {
	t.Parallel()
	const secret = "0123456789abcdef"
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, tt := range []struct {
		name, body string
		secrets    []string
		want       string
	}{
		{"empty", "", nil, ""},
		{"short", "hello", []string{secret}, "hello"},
		{"long", x(5000), nil, x(2048)},
		{"long with secrets", x(5000), []string{secret}, x(2048)},
		{"cut by the end", x(2040) + secret + x(100), []string{secret}, x(2040) + job.Hidden},
		{"cut near the end", x(2047) + secret, []string{secret}, x(2047) + "*"},
		{"behind the end", x(2048) + secret, []string{secret}, x(2048)},
		{"many times", strings.Repeat(secret, 1000), []string{secret}, strings.Repeat(job.Hidden, 128)},
		{"one begins another", "ab abc a", []string{"abc", "ab"}, "******** ******** a"},
		{"shorter than the placeholder", strings.Repeat("s", 3000), []string{"s"}, strings.Repeat(job.Hidden, 256)},
	} {
		got := delivery.Excerpt(iotest.OneByteReader(strings.NewReader(tt.body)), tt.secrets)
		if string(got) != tt.want {
			t.Errorf("%s: got %d bytes ending in %q, want %d ending in %q", tt.name, len(got), tail(string(got)), len(tt.want), tail(tt.want))
		}
	}
}

func tail(s string) string { return s[max(0, len(s)-40):] }

// FuzzExcerpt checks that neither a secret nor more than the limit is kept.
// An answer that breaks off, or is cut off, inside a secret shows nothing of it.
func TestExcerptOfACutAnswer(t *testing.T) {
	t.Parallel()
	secrets := delivery.SecretsOf(job.Policy{Headers: map[string]string{"Authorization": "Bearer sesame/open"}}, &url.URL{})
	for _, tt := range []struct {
		name, body string
		err        error
		want       string
	}{
		{"in a word", "Authorization: Bearer sesam", io.ErrUnexpectedEOF, "Authorization: ********"},
		{"in the word alone", "it is sesame/op", io.ErrUnexpectedEOF, "it is ********"},
		{"after one character", "it is s", context.DeadlineExceeded, "it is ********"},
		{"in an escape", `{"a":"sesame\`, context.Canceled, `{"a":"********`},
		{"after a shorter one", "Bearer ", context.Canceled, "********"},
		{"elsewhere", "it is over", io.ErrUnexpectedEOF, "it is over"},
		{"after a secret", "Bearer sesame/open", io.ErrUnexpectedEOF, "********"},
		{"by the receiver itself", "it is sesa", io.EOF, "it is ********"},
		{"a letter at a real end", "it is ours", io.EOF, "it is ours"},
		{"in what is not kept", strings.Repeat("x", job.MaxResponse) + "sesam", io.ErrUnexpectedEOF, strings.Repeat("x", job.MaxResponse)},
	} {
		body := io.MultiReader(strings.NewReader(tt.body), iotest.ErrReader(tt.err))
		if got := string(delivery.Excerpt(body, secrets)); got != tt.want {
			t.Errorf("%s: kept %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzExcerpt(f *testing.F) {
	f.Add([]byte("abcabc"), "abc", 2046)
	f.Add([]byte("aaaa"), "aa", 2048)
	f.Fuzz(func(t *testing.T, body []byte, secret string, before int) {
		if len(secret) == 0 || strings.Contains(job.Hidden, secret) || strings.HasPrefix(secret, "*") || strings.HasSuffix(secret, "*") {
			return
		}
		body = append(bytes.Repeat([]byte{'-'}, min(max(before, 0), 3000)), body...)
		got := delivery.Excerpt(bytes.NewReader(body), []string{secret})
		if len(got) > job.MaxResponse || bytes.Contains(got, []byte(secret)) {
			t.Errorf("excerpt of %q without %q: got %q", body, secret, got)
		}
	})
}
