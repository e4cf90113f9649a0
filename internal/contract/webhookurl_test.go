package contract_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"belfry/internal/contract"
	"belfry/internal/job"
)

func routeBody(t testing.TB, url string, more string) []byte {
	t.Helper()
	quoted, err := json.Marshal(url)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(`{"type":"REST","webhook_url":` + string(quoted) + more + `}`)
}

// A URL is shown as it will be sent. A URL that could not be sent as given is
// refused.
func TestWebhookURLIsShownAsItIsSent(t *testing.T) {
	t.Parallel()
	key := job.RouteKey{DB: "db", ID: "r"}
	for _, tt := range []struct{ given, shown string }{
		{"http://h.example/a?b=c&d=%20%zz", "http://h.example/a?b=c&d=%20%zz"},
		{"h.example", "h.example"},
		{"HTTPS://H.example:8443", "HTTPS://H.example:8443"},
		{"http://h.example//a/../b;c=d,e", "http://h.example//a/../b;c=d,e"},
		{"http://h.example/a%2Fb%2fc", "http://h.example/a%2Fb%2fc"},
		{"http://user:p%40ss@h.example/", "http://user:p%40ss@h.example/"},
		{"http://[::1]:80/ä", "http://[::1]:80/%C3%A4"},

		{"http://h.example/größe/日本", "http://h.example/gr%C3%B6%C3%9Fe/%E6%97%A5%E6%9C%AC"},
		{"h.example/x?q=größe", "h.example/x?q=gr%C3%B6%C3%9Fe"},
		{"h.example?q=ü", "h.example?q=%C3%BC"},
		{"http://h.example/%C3%BC/ü", "http://h.example/%C3%BC/%C3%BC"},
		{`http://h.example/a"b<c>{d}|e^f`, "http://h.example/a%22b%3Cc%3E%7Bd%7D%7Ce%5Ef"},
		{"http://jürgen:größe@h.example/", "http://j%C3%BCrgen:gr%C3%B6%C3%9Fe@h.example/"},
		{"http://münchen.example:8080/x", "http://xn--mnchen-3ya.example:8080/x"},
		{"münchen.example/x", "xn--mnchen-3ya.example/x"},
		{"http://m%C3%BCnchen.example/x", "http://xn--mnchen-3ya.example/x"},
		{"http://日本。example/", "http://xn--wgv71a.example/"},
		{"http://FAß.example/", "http://xn--fa-hia.example/"},

		// These have blanks, control characters or invisible characters, anywhere.
		{" http://h.example/", ""}, {"http://h.example/ ", ""}, {"http://h.example/\n", ""}, {"\thttp://h.example/", ""},
		{"http://h.example/a b", ""}, {"http://h.example/?a b", ""}, {"http://h .example/", ""}, {"http://us er@h.example/", ""},
		{"http://h.example/?a\r\nX: y", ""}, {"http://h.example/\x00", ""}, {"http://h.example/?\x7f", ""}, {"ht tp://h.example/", ""},
		{"http://h.example/\u00a0", ""}, {"http://h.example/?\u3000", ""}, {"\ufeffhttp://h.example/", ""}, {"http://h.example/\u0085", ""},
		{"http://h.example/\u200b", ""}, {"http://h\u200d.example/", ""}, {"http://h.example/\u202e", ""}, {"http://h.example/?\u2028", ""},
		{"http://h.example/\u00ad", ""}, {"http://h.example/\ufffd", ""},

		{"http://h.example/#top", ""}, {"http://h.example#", ""}, {"h.example/?a#b", ""},
		{"http://１２７.0.0.1/", ""}, {"http://h%20h.example/", ""}, {"http://ä_b.example/", ""}, {"http://xn--ü.example/", ""},
		{"http://my_host.example./", "http://my_host.example./"}, {"http://h..example/", ""}, {"http://.example/", ""},
		{"http://a$b.example/", ""}, {"http://a(b).example/", ""}, {`http://a"b.example/`, ""}, {`http://h.example\x`, ""},
		{"http://" + strings.Repeat("a", 63) + ".example/", "http://" + strings.Repeat("a", 63) + ".example/"},
		{"http://" + strings.Repeat("a", 64) + ".example/", ""}, {"http://" + strings.Repeat("a.", 127) + "a/", ""},
		{"http://" + strings.Repeat("ä", 60) + ".example/", ""},
		{"http://[::1%25ä]/", ""}, {"http://a%2Fb.example/", ""}, {"http://a%0ab.example/", ""}, {"http://%FF.example/", ""},
	} {
		r, err := contract.ParseRoute(routeBody(t, tt.given, ""), key)
		switch {
		case tt.shown == "" && !errors.Is(err, job.ErrWebhookURL):
			t.Errorf("%q is accepted as %q (%v), want %v", tt.given, r.WebhookURL, err, job.ErrWebhookURL)
		case tt.shown != "" && (err != nil || r.WebhookURL != tt.shown):
			t.Errorf("%q is shown as %q (%v), want %q", tt.given, r.WebhookURL, err, tt.shown)
		}
		if err != nil {
			continue
		}
		again, err := contract.ParseRoute(routeBody(t, r.WebhookURL, ""), key)
		if err != nil || again.WebhookURL != r.WebhookURL {
			t.Errorf("%q is shown as %q, and that as %q (%v)", tt.given, r.WebhookURL, again.WebhookURL, err)
		}
		if target, err := r.Target("https"); err != nil || !strings.HasSuffix(target.String(), afterScheme(r.WebhookURL)) && target.User == nil {
			t.Errorf("%q is called as %v (%v)", r.WebhookURL, target, err)
		}
	}
}

func afterScheme(url string) string {
	if _, rest, found := strings.Cut(url, "://"); found {
		return rest
	}
	return url
}

// URLs that were stored before cleanURL existed are still read, and sent as they
// were.
func TestStoredWebhookURLIsMended(t *testing.T) {
	t.Parallel()
	key := job.RouteKey{DB: "db", ID: "r"}
	for given, want := range map[string]string{
		"http://h.example/a b ":   "http://h.example/a%20b%20",
		"http://h.example/?a b":   "http://h.example/?a%20b",
		"http://h.example/x#top":  "http://h.example/x",
		"http://münchen.example/": "http://xn--mnchen-3ya.example/",
		"http://h.example/größe":  "http://h.example/gr%C3%B6%C3%9Fe",
	} {
		r, err := contract.ParseStoredRoute(routeBody(t, given, ""), key)
		if err != nil || r.WebhookURL != want {
			t.Errorf("%q is read as %q (%v), want %q", given, r.WebhookURL, err, want)
		}
	}
}

// Credentials in the URL would not be sent beside an Authorization header.
func TestCredentialsBesideAuthorization(t *testing.T) {
	t.Parallel()
	key := job.RouteKey{DB: "db", ID: "r"}
	for _, name := range []string{"Authorization", "authorization"} {
		body := routeBody(t, "http://user:hunter2@h.example/", `,"headers":{"`+name+`":"Bearer x"}`)
		if _, err := contract.ParseRoute(body, key); !errors.Is(err, job.ErrWebhookURL) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("credentials beside the header %s: got %v, want %v without them", name, err, job.ErrWebhookURL)
		}
		if _, err := contract.ParseStoredRoute(body, key); err != nil {
			t.Errorf("a stored route with both: %v, want no error", err)
		}
	}
}

func FuzzWebhookURL(f *testing.F) {
	for _, url := range []string{"h.example/ü?ä#b", "http://u:p@münchen.example:80/a\"b", "http://[::1%25a]/", "http://a%2561/", "%%://?"} {
		f.Add(url)
	}
	key := job.RouteKey{DB: "db", ID: "r"}
	f.Fuzz(func(t *testing.T, url string) {
		r, err := contract.ParseRoute(routeBody(t, url, ""), key)
		if err != nil {
			return
		}
		for _, c := range []byte(r.WebhookURL) {
			if c <= ' ' || c >= 0x7f {
				t.Fatalf("%q is shown as %q", url, r.WebhookURL)
			}
		}
		again, err := contract.ParseRoute(routeBody(t, r.WebhookURL, ""), key)
		if err != nil || again.WebhookURL != r.WebhookURL {
			t.Errorf("%q is shown as %q, and that as %q (%v)", url, r.WebhookURL, again.WebhookURL, err)
		}
		target, err := r.Target("http")
		if err != nil {
			t.Fatalf("%q is shown as %q, which cannot be called: %v", url, r.WebhookURL, err)
		}
		if sent := target.RequestURI(); !strings.HasSuffix(r.WebhookURL, sent) && sent != "/" && !strings.HasSuffix(r.WebhookURL, sent[1:]) {
			t.Errorf("%q is shown as %q, and sent as %q", url, r.WebhookURL, sent)
		}
	})
}
