package main

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/backup"
	"belfry/internal/job"
	"belfry/streams/wire"
)

// Data of an earlier version, which accepted a meta 9,999 deep, is shown, backed up,
// restored, also from a backup that the earlier version has written, and fires.
func TestDeepMetaOfAnEarlierVersion(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 9999) + strings.Repeat("]", 9999)
	l := startLimits(t)
	l.must(t, http.MethodPost, l.path("route", l.db), `{"id":"n","type":"NATS"}`)
	kv, err := l.js.KeyValue(t.Context(), "jobs_0")
	if err != nil {
		t.Fatal(err)
	}
	due := time.Now().Add(time.Hour)
	// As the earlier version has left it: with the headers of a record.
	l.must(t, http.MethodPost, l.path("job", l.db, l.collection), l.job("deep", "1", "n", due))
	key := wire.Escape(l.db) + "." + wire.Escape(l.collection) + ".deep"
	subject := "$KV.jobs_0." + key
	e, err := kv.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := l.js.Stream(t.Context(), "KV_jobs_0")
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.GetMsg(t.Context(), e.Revision())
	if err != nil {
		t.Fatal(err)
	}
	m.Header.Del("Nats-Expected-Last-Subject-Sequence")
	again := &nats.Msg{Subject: subject, Header: m.Header, Data: []byte(strings.Replace(string(m.Data), `"meta":1`, `"meta":`+deep, 1))}
	if _, err := l.js.PublishMsg(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if got := l.must(t, http.MethodGet, l.path("job", l.db, l.collection, "deep"), ""); !strings.Contains(got, deep) {
		t.Fatalf("GET: %.200s", got)
	}
	l.sh.must(t, "job", "get", l.db, l.collection, "deep")
	name := filepath.Join(t.TempDir(), "backup")
	l.sh.must(t, "backup", name)
	if err := readBackup(openFile(t, name)); err != nil {
		t.Errorf("the backup: %v", err)
	}
	other := startProgram(t, t.TempDir())
	sh := newShell(other.at())
	sh.must(t, "restore", name)
	sh.must(t, "job", "fire", l.db, l.collection, "deep")
	c, err := other.jetStream(t).Consumer(t.Context(), "FIRES", (limits{running: other, db: l.db}).consumer(t, "n"))
	if err != nil {
		t.Fatal(err)
	}
	if m, err := c.Next(jetstream.FetchMaxWait(patience)); err != nil || string(m.Data()) != deep {
		t.Errorf("the restored fire: %v", err)
	}
}

// A meta that the NATS server does not take ends a restore with the reason, and
// not with the advice to try again.
func TestRestoreOfALargerMeta(t *testing.T) {
	t.Parallel()
	sh, _ := shellAt(t)
	var file bytes.Buffer
	w, err := backup.NewWriter(&file, backup.Header{ID: "large", Made: 1667659342626, Belfry: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	r := job.New(job.Job{Key: job.Key{DB: "db", Collection: "coll", ID: "large"}, Trigger: 1667659342626, Meta: []byte(metaOf(1, 1<<20)), Route: "r"}, "fire")
	r.Revision = 1
	if err := errors.Join(w.Write(job.Entry{Job: &r}), w.Close()); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "backup")
	if err := os.WriteFile(name, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	sh.fails(t, 2, "an entry of kind job has a meta of 1048576 bytes, and the NATS server takes 983040; with a larger max_payload", "restore", name)
}
