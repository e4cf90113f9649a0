package job_test

import (
	"errors"
	"strings"
	"testing"

	"belfry/internal/job"
)

func TestTarget(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"gameserver-dev-1.myorg.com/timer?action=endgame", "https://gameserver-dev-1.myorg.com/timer?action=endgame"},
		{"host:8080/x", "https://host:8080/x"},
		{"host", "https://host"},
		{"host/x?u=http://other", "https://host/x?u=http://other"},
		{"http://127.0.0.1:1/x", "http://127.0.0.1:1/x"},
		{"HTTPS://host/", "https://host/"},
		{"http://[::1]:80/", "http://[::1]:80/"},
		{"http://user:pass@host/", "http://user:pass@host/"},
		{"[::1]:80/x", "https://[::1]:80/x"},
		{"host:1", "https://host:1"}, {"host:65535", "https://host:65535"},
		{"http://日本.example/", "http://%E6%97%A5%E6%9C%AC.example/"},

		{"", ""}, {"http://", ""}, {"ftp://host", ""}, {"http://:80/", ""}, {"http://a b/", ""}, {"/path", ""}, {"//host/path", ""},
		{"http://host:x/", ""}, {"http://host:0/", ""}, {"host:65536", ""}, {"http://host:99999999999999999999/", ""}, {"http://host:/", ""},
		{"http:/h", ""}, {"https:h", ""}, {"mailto:a@b", ""}, {"user:pass@host/", ""}, {"host:a:1", ""}, {"::1", ""},
		{"...", ""}, {"http://.../", ""}, {"http://-/", ""}, {"http://[::]/", ""},
	} {
		u, err := job.Route{WebhookURL: tt.in}.Target("https")
		switch {
		case tt.want == "" && !errors.Is(err, job.ErrWebhookURL):
			t.Errorf("Target(%q) = %v, %v; want ErrWebhookURL", tt.in, u, err)
		case tt.want != "" && (err != nil || u.String() != tt.want):
			t.Errorf("Target(%q) = %v, %v; want %s", tt.in, u, err, tt.want)
		}
	}
	for _, secret := range []string{
		"ftp://user:hunter2@host/?token=hunter2", "user:hunter2@host", "hunter2://host", "http://hunter2:0/", "hunter2:hunter2", "http://%hunter2/",
	} {
		r := job.Route{RouteKey: job.RouteKey{DB: "d", ID: "r"}, Type: job.REST, WebhookURL: secret}
		if err := r.Check(); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "an http or https URL") {
			t.Errorf("the error of %q is %v; want one that says what is accepted, without secrets", secret, err)
		}
	}
}
