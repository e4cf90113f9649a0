package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/job"
)

// testdata/kept-data.tgz is the data folder of a Belfry from before streams was split
// into packages, killed while it worked. Its jobs are read, and fired, as they were.
func TestKeptData(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	unpack(t, filepath.Join("testdata", "kept-data.tgz"), data)
	const long = "876000h" // the streams of the folder keep things as long, so that it does not grow too old
	b := startProgram(t, data, "--history-ttl", long, "--dead-max-age", long, "--fires-max-age", long)
	for id, want := range map[string]job.Status{
		"buried": job.Dead, "delivered": job.Delivered, "unread": job.Published, "cancelled": job.Cancelled,
	} {
		if got := b.get(t, "/job/games/match/"+id); string(got.Status) != string(want) || string(got.Meta) != fmt.Sprintf(`{"n":%q}`, id) {
			t.Errorf("job %s is %s with meta %s, want %s with its id", id, got.Status, got.Meta, want)
		}
	}

	// A try of hanging was under way, retried had failed once, and the route of the latter
	// was paused. All that waits in the folder has come due since.
	in := newReceiver(t, nil)
	b.must(t, http.MethodPut, "/route/games/hang", fmt.Sprintf(`{"type":"REST","webhook_url":%q}`, in.url))
	b.must(t, http.MethodPut, "/route/games/hook", fmt.Sprintf(`{"type":"REST","webhook_url":%q,"secret":"********"}`, in.url))
	b.must(t, http.MethodPut, "/route/games/dead", fmt.Sprintf(`{"type":"REST","webhook_url":%q}`, in.url))
	b.must(t, http.MethodPost, "/dead/games/1/redrive", "")
	got := in.waitFor(t, 4)
	for id, attempt := range map[string]string{"hanging": "", "retried": "2", "waiting": "1", "buried": "1"} {
		posts := got[id]
		if len(posts) == 0 {
			t.Errorf("job %s did not arrive", id)
			continue
		}
		if want := fmt.Sprintf(`{"n":%q}`, id); posts[0].meta != want {
			t.Errorf("job %s arrived with %s, want %s", id, posts[0].meta, want)
		}
		if is := posts[0].header.Get(job.HeaderAttempt); attempt != "" && is != attempt {
			t.Errorf("job %s arrived as attempt %s, want %s", id, is, attempt)
		}
		b.becomes(t, "/job/games/match/"+id, job.Delivered)
	}
	if sig := got["waiting"][0].header.Get("webhook-signature"); sig == "" {
		t.Error("the secret of the route was lost: there is no signature")
	}

	// The subscriber had not come yet.
	inbox, err := b.jetStream(t).Consumer(t.Context(), "FIRES", "games_turns")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"unread", "native"} {
		m, err := inbox.Next(jetstream.FetchMaxWait(patience))
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf(`{"n":%q}`, id); string(m.Data()) != want {
			t.Errorf("the subscriber got %s, want %s", m.Data(), want)
		}
		if err := m.Ack(); err != nil {
			t.Error(err)
		}
	}
}

// unpack writes the files of an archive into a folder.
func unpack(t *testing.T, archive, to string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(to, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(name, 0o700); err != nil {
				t.Fatal(err)
			}
			continue
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
