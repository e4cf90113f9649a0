package backup_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/internal/backup"
	"belfry/internal/job"
)

var header = backup.Header{ID: "an-id", Made: 1667659342626, Belfry: "v1.2.3"}

// entries has one entry of each kind, and content that is hard to write on a line.
func entries() []job.Entry {
	key := job.Key{DB: "a/b", Collection: "c\n", ID: `"ü"`}
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	j := job.Job{Key: key, Trigger: 1667659342626, Meta: []byte(`{ "n": 1,"n":2.50 }`), Route: "r 1", Trace: trace}
	lines := j
	lines.ID, lines.Meta = "lines", []byte("{\r\n\t\"a\": [ 1,\n2 ] }")
	token := job.Token{ID: "aaaaaaaaaaaaaaaa", Role: job.Writer, DBs: []string{"a/b"}, Description: "CI", Created: 1667659342626, Tail: "wxyz", Sum: [32]byte{1, 2}}
	route := job.Route{RouteKey: job.RouteKey{DB: "a/b", ID: "r 1"}, Type: job.REST, WebhookURL: "https://u:p@h/x"}
	route.Secret = job.EncodeSecret(bytes.Repeat([]byte{1}, 32))
	route.OldSecrets = []job.OldSecret{{Secret: job.EncodeSecret(bytes.Repeat([]byte{2}, 32)), Until: 1667659342999}}
	route.Headers = map[string]string{"X-Key": "hunter2"}
	route.Paused, route.PausedUntil = true, 1767659342626
	fire := job.Fire{Arming: job.Arming{Job: job.Job{Key: key, Route: "r 1", Trigger: 1667659342626, Meta: []byte("null"), Trace: trace}, FireID: "F1", Attempt: 3}, Claim: 7}
	return []job.Entry{
		{Token: &token},
		{Revoked: token.ID},
		{Job: &job.Record{Arming: job.Arming{Job: j, FireID: "F1"}, Status: job.Scheduled, Due: 1667659342626, Revision: 1}},
		{Job: &job.Record{Arming: job.Arming{Job: lines, FireID: "F2", Attempt: 2, Redriven: 1667659343333}, Status: job.Retrying, Due: 1667659349999, Reason: job.ReasonFailed, Detail: "it\nsaid no", Revision: 2}},
		{Job: &job.Record{Arming: job.Arming{Job: j, FireID: "F1", Attempt: 12}, Status: job.Dead, Finished: 1667659349999, Reason: job.ReasonExhausted, Revision: 3}},
		{Route: &route},
		{Letter: &job.Letter{Fire: fire, Died: time.UnixMilli(1667659349999), Reason: job.ReasonGone, Detail: "410"}},
		{Attempt: &job.KeptAttempt{Key: key, Attempt: job.Attempt{
			Number: 1, FireID: "F1", Started: time.UnixMilli(1667659342626), Duration: 1500 * time.Microsecond, Status: 500, Response: []byte("no\n"),
		}}},
		{Fire: &fire},
	}
}

func write(t testing.TB, all ...job.Entry) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := backup.NewWriter(&file, header)
	for _, e := range all {
		if err == nil {
			err = w.Write(e)
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatalf("writing: %v", err)
	}
	return file.Bytes()
}

func read(file []byte) (all []job.Entry, err error) {
	r, err := backup.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	for {
		e, err := r.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			if _, again := r.Next(); again != err {
				return all, errors.New("the error does not stay")
			}
			return all, err
		}
		all = append(all, e)
	}
}

func text(t testing.TB, file []byte) string {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	return string(lines)
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	want := entries()
	file := write(t, want...)
	got, err := read(file)
	if err != nil {
		t.Fatalf("reading: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what was written (-) and read (+) differ:\n%s", diff)
	}
	lines := text(t, file)
	if n := strings.Count(lines, "\n"); n != len(want)+2 {
		t.Errorf("%d lines, want one for each of %d entries, the first and the last:\n%s", n, len(want), lines)
	}
	if got, err := read([]byte(strings.TrimSuffix(lines, "\n"))); err != nil || len(got) != len(want) {
		t.Errorf("not compressed: %d entries, %v; want %d", len(got), err, len(want))
	}
	r, err := backup.NewReader(bytes.NewReader(file))
	if err != nil || r.Header() != header {
		t.Errorf("the header is %v, %v; want %v", r.Header(), err, header)
	}
	if got, err := read(write(t)); err != nil || len(got) != 0 {
		t.Errorf("an empty backup: %v, %v", got, err)
	}
}

// A meta of any depth that was ever accepted can be restored. This includes a backup
// in which an earlier version wrote the meta raw, one object deeper than decoders
// read.
func TestDeepMeta(t *testing.T) {
	t.Parallel()
	for _, depth := range []int{job.MaxMetaDepth, job.MaxMetaDepth + 1, 9998, 9999} {
		deep := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		all := entries()
		want := []job.Entry{all[2], all[6], all[8]}
		want[0].Job.Meta, want[1].Letter.Meta, want[2].Fire.Meta = []byte(deep), []byte(deep), []byte(deep)
		file := write(t, want...)
		got, err := read(file)
		if err != nil {
			t.Fatalf("%d deep: %v", depth, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d deep: what was written (-) and read (+) differ:\n%s", depth, diff)
		}
		if depth == job.MaxMetaDepth {
			continue
		}
		lines := strings.SplitAfter(text(t, file), "\n")
		for i, line := range lines {
			line = strings.Replace(line, `"meta":null`, `"meta":`+deep, 1)
			lines[i] = strings.Replace(line, `,"meta_text":"`+deep+`"`, "", 1)
		}
		end := len(lines) - 2
		sum := sha256.Sum256([]byte(strings.Join(lines[:end], "")))
		lines[end] = lines[end][:strings.Index(lines[end], `"sha256":"`)] + `"sha256":"` + hex.EncodeToString(sum[:]) + "\"}\n"
		if got, err = read([]byte(strings.Join(lines, ""))); err != nil {
			t.Fatalf("%d deep, as an earlier version wrote it: %v", depth, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d deep: what an earlier version wrote (-) and what was read (+) differ:\n%s", depth, diff)
		}
	}
}

// A backup that is cut off anywhere, or has any byte changed, is refused, unless the
// changed bit means nothing to the compression.
func TestDamage(t *testing.T) {
	t.Parallel()
	file := write(t, entries()...)
	lines := text(t, file)
	refused := func(what string, file []byte, says string) {
		t.Helper()
		_, err := read(file)
		if !errors.Is(err, job.ErrBackup) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want that it is not a good backup, and %q", what, err, says)
		}
		for _, secret := range []string{"hunter2", "AQEBAQ", "u:p@h"} {
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error has the secret %q: %v", what, secret, err)
			}
		}
	}
	for n := range file {
		refused("cut", file[:n], "")
		if n < 10 {
			continue // not every byte of the compression's head has a meaning
		}
		altered := bytes.Clone(file)
		altered[n] ^= 4
		if got, err := read(altered); err != nil || cmp.Diff(entries(), got) != "" {
			refused("altered", altered, "")
		}
	}
	for n := range len(lines) - 1 { // the last newline may be missing
		refused("cut", []byte(lines[:n]), "")
	}
	change := func(old, now string) []byte {
		t.Helper()
		if !strings.Contains(lines, old) {
			t.Fatalf("%s is not in the backup", old)
		}
		return []byte(strings.Replace(lines, old, now, 1))
	}
	refused("a number", change(`"due":1667659342626`, `"due":1667659342627`), "SHA-256")
	refused("fewer", change(`"fire":1`, `"fire":2`), "it was altered")
	refused("a kind", change(`"kind":"job"`, `"kind":"jib"`), `its kind is "jib"; accepted are [token `)
	refused("a field", change(`"due":`, `"when":`), "line 4")
	refused("a status", change(`"scheduled"`, `"firing"`), `its status is "firing"`)
	refused("a route", change(`"REST"`, `"SMTP"`), "bad route type")
	refused("no token", change(`"role":"writer"`, `"role":"root"`), "bad token request")
	refused("no meta", change(`\r\n`, `]`), "line 5")
	refused("more", []byte(lines+"{}\n"), "something follows")
	refused("twice", append(bytes.Clone(file), file...), "something follows")
	refused("a newer one", change(`"version":1`, `"version":2`), "its version is 2; this Belfry reads version 1")
	refused("something else", []byte(`{"format":"x"}`+"\n"), "first line")
	refused("text", []byte("hello"), "first line")
	refused("nothing", nil, "empty")
	refused("a long line", append([]byte(lines[:strings.Index(lines, "\n")+1]), bytes.Repeat([]byte(" "), 33<<20)...), "longer than")
}

// A writer that fails at once has written nothing.
func TestWriterHoldsBack(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	w, err := backup.NewWriter(&file, header)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries() {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if file.Len() > 0 {
		t.Errorf("%d bytes are out before the first 64 KiB", file.Len())
	}
	big := entries()[2]
	big.Job.Meta = bytes.Repeat([]byte("\n"), 17<<20)
	if err := w.Write(big); err == nil || !strings.Contains(err.Error(), "a backup takes up to") {
		t.Errorf("an entry that is too long: %v", err)
	}
}

// A reader returns what was written, or refuses it.
func FuzzReader(f *testing.F) {
	file := write(f, entries()...)
	f.Add(file)
	f.Add([]byte(text(f, file)))
	for line := range strings.Lines(text(f, file)) {
		f.Add([]byte(text(f, write(f))[:strings.Index(text(f, file), "\n")+1] + line))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := backup.NewReader(bytes.NewReader(file))
		if err != nil {
			return
		}
		for n := 0; ; n++ {
			e, err := r.Next()
			if err != nil {
				return
			}
			if n > len(file)*2000 { // compression has its limits
				t.Fatalf("%d entries in %d bytes", n, len(file))
			}
			again, err := read(write(t, e))
			if err != nil {
				t.Fatalf("%#v cannot be read when it is written: %v", e, err)
			}
			if diff := cmp.Diff([]job.Entry{e}, again); diff != "" {
				t.Fatalf("written (-) and read (+) differ:\n%s", diff)
			}
		}
	})
}
