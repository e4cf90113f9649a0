package storefolder_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/natstest"
	"belfry/internal/storefolder"
)

// filled makes a stream S with n messages of which every third is removed, and
// stops its server.
func filled(t *testing.T, n int, block bool) (dir string, last uint64) {
	t.Helper()
	s := natstest.StartWith(t, &server.Options{})
	dir = storefolder.Path(filepath.Dir(s.StoreDir()))
	js, err := jetstream.New(s.Connect())
	if err != nil {
		t.Fatal(err)
	}
	cfg := jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, AllowMsgTTL: true}
	if block {
		cfg.MaxMsgsPerSubject = 1 // has small blocks
	}
	stream, err := js.CreateStream(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		ack, err := js.Publish(t.Context(), fmt.Sprintf("s.%d", i), bytes.Repeat([]byte("x"), 5000))
		if err != nil {
			t.Fatal(err)
		}
		if last = ack.Sequence; i%3 == 0 {
			if err := stream.DeleteMsg(t.Context(), last); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Stop()
	return dir, last
}

func blockFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "S", "msgs", "*.blk"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d blocks, %v", len(files), err)
	}
	return files
}

func verify(t *testing.T, dir string) storefolder.Report {
	t.Helper()
	r, err := storefolder.Verify(t.Context(), dir, "S")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A store that a nats-server wrote is whole, and its last sequence is known, even if
// the last message was removed.
func TestVerifyWhole(t *testing.T) {
	t.Parallel()
	dir, last := filled(t, 1900, true)
	r := verify(t, dir)
	if files := blockFiles(t, dir); r.Blocks != len(files) || r.Blocks < 2 {
		t.Errorf("%d blocks, want the %d files, and at least 2", r.Blocks, len(files))
	}
	if r.Last != last || len(r.Bad) > 0 || r.Torn != nil || r.Opaque {
		t.Errorf("verified: %+v, want the last sequence %d and nothing else", r, last)
	}
}

// Every flipped byte is found, wherever it is.
func TestVerifyFlippedBytes(t *testing.T) {
	t.Parallel()
	dir, _ := filled(t, 20, false)
	file := blockFiles(t, dir)[0]
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole); at += 97 {
		flipped := slices.Clone(whole)
		flipped[at] ^= 1
		if err := os.WriteFile(file, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, dir); len(r.Bad) != 1 && r.Torn == nil {
			t.Fatalf("byte %d of %d flipped: %+v, want it found", at, len(whole), r)
		}
	}
}

// A repaired block lacks the damaged message and no other, even if the damage is in
// the length of a message. The server can read the repaired block.
func TestRepair(t *testing.T) {
	t.Parallel()
	const second = 22 + len("s.0") + 5000 + 8 + 30 // the first is removed, which a message of 30 bytes says
	for name, at := range map[string]int{"data": second + 1000, "length": second, "large length": second + 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, last := filled(t, 20, false)
			file := blockFiles(t, dir)[0]
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			data[at] ^= 1
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			bad := verify(t, dir).Bad
			if len(bad) != 1 {
				t.Fatalf("found %v", bad)
			}
			dropped, err := bad[0].Repair(dir, "S")
			if err != nil || dropped < 5000 || dropped > 5100 {
				t.Errorf("dropped %d bytes, %v, want one message of 5,000", dropped, err)
			}
			if r := verify(t, dir); len(r.Bad) > 0 || r.Torn != nil || r.Last != last {
				t.Errorf("repaired: %+v, want it whole to sequence %d", r, last)
			}
			ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, NoLog: true, NoSigs: true,
				StoreDir: strings.TrimSuffix(dir, storefolder.Path(""))})
			if err != nil {
				t.Fatal(err)
			}
			ns.Start()
			defer ns.WaitForShutdown()
			defer ns.Shutdown()
			nc, err := nats.Connect("", nats.InProcessServer(ns))
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			js, err := jetstream.New(nc)
			if err != nil {
				t.Fatal(err)
			}
			stream, err := js.Stream(t.Context(), "S")
			if err != nil {
				t.Fatal(err)
			}
			if s := stream.CachedInfo().State; s.Msgs != 12 || s.LastSeq != last {
				t.Errorf("the server has %d messages up to %d, want 12 of the 13, up to %d", s.Msgs, s.LastSeq, last)
			}
		})
	}
}

// A file that ends within a message is an unfinished write if it is the last
// one, and damaged if it is another.
func TestVerifyTruncated(t *testing.T) {
	t.Parallel()
	dir, last := filled(t, 1900, true)
	files := blockFiles(t, dir)
	slices.SortFunc(files, func(a, b string) int { return len(a) - len(b) + strings.Compare(a, b) })
	cut := func(file string, by int64) {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(file, info.Size()-by); err != nil {
			t.Fatal(err)
		}
	}
	cut(files[len(files)-1], 100)
	if r := verify(t, dir); r.Torn == nil || len(r.Bad) > 0 || r.Last >= last {
		t.Errorf("the last block cut: %+v, want an unfinished write and a sequence before %d", r, last)
	}
	cut(files[0], 100)
	if r := verify(t, dir); len(r.Bad) != 1 || r.Bad[0].Path != files[0] {
		t.Errorf("the first block cut: %+v, want it bad", r)
	}
	kept, err := verify(t, dir).Bad[0].Copy(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a, _ := os.ReadFile(kept)
	if b, _ := os.ReadFile(files[0]); !bytes.Equal(a, b) || len(a) == 0 {
		t.Errorf("the copy has %d bytes, want the %d of the block", len(a), len(b))
	}
}

// After a clean stop the blocks are as they were, unless a server was at work.
func TestSizes(t *testing.T) {
	t.Parallel()
	dir, _ := filled(t, 1900, true)
	files := blockFiles(t, dir)
	measure := func(always string) storefolder.Sizes {
		s, err := storefolder.Measure(dir, []string{"S"}, always)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before, elsewhere := measure("OTHER"), measure("S")
	if got := before.Changes(measure("OTHER"), "S"); len(got) > 0 {
		t.Errorf("nothing changed: %v", got)
	}
	if err := errors.Join(os.Truncate(files[0], 0), os.Remove(files[1])); err != nil {
		t.Fatal(err)
	}
	if got := before.Changes(measure("OTHER"), "S"); len(got) != 2 || !strings.Contains(strings.Join(got, " "), "is gone") || !strings.Contains(strings.Join(got, " "), "has 0 bytes") {
		t.Errorf("one block emptied and one removed: %v", got)
	}
	if err := os.Chtimes(files[0], time.Time{}, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got := elsewhere.Changes(measure("S"), "S"); len(got) > 0 {
		t.Errorf("a server was at work: %v", got)
	}
}

// Zeros at the very end are a write that the power failed under; elsewhere they
// are damage.
func TestVerifyZeros(t *testing.T) {
	t.Parallel()
	dir, last := filled(t, 20, false)
	file := blockFiles(t, dir)[0]
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(slices.Clone(whole), make([]byte, 4096)...), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, dir); r.Torn == nil || len(r.Bad) > 0 || r.Last != last {
		t.Errorf("zeros at the end: %+v, want an unfinished write after sequence %d", r, last)
	}
	if err := os.WriteFile(file, append(make([]byte, 4096), whole...), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, dir); len(r.Bad) != 1 {
		t.Errorf("zeros at the start: %+v, want them bad", r)
	}
}

func TestVerifyNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if names, err := storefolder.Streams(filepath.Join(dir, "none")); err != nil || len(names) > 0 {
		t.Errorf("streams of no folder: %v, %v", names, err)
	}
	if r := verify(t, dir); r.Blocks > 0 || r.Last > 0 {
		t.Errorf("verified nothing: %+v", r)
	}
}

// The server removes the folder of a stream that it cannot recover. The guard
// gives it back.
func TestGuard(t *testing.T) {
	t.Parallel()
	dir, _ := filled(t, 20, false)
	before := contents(t, dir)
	odd := filepath.Join(dir, "S", "msgs", "9.blk")
	if err := os.Mkdir(odd, 0o700); err != nil { // no block that a server can read
		t.Fatal(err)
	}
	links := filepath.Join(t.TempDir(), "links")
	g := storefolder.NewGuard(dir, links)
	if err := g.Protect(); err != nil {
		t.Fatal(err)
	}
	ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, NoLog: true, NoSigs: true,
		StoreDir: strings.TrimSuffix(dir, storefolder.Path(""))})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	ns.Shutdown()
	ns.WaitForShutdown()
	if names, _ := storefolder.Streams(dir); len(names) > 0 {
		t.Fatalf("the server left %v; this test has lost its point", names)
	}
	back, err := g.PutBack()
	if err != nil || !slices.Equal(back, []string{"S"}) {
		t.Fatalf("put back %v, %v, want S", back, err)
	}
	if err := os.RemoveAll(odd); err != nil {
		t.Fatal(err)
	}
	if after := contents(t, dir); after != before {
		t.Errorf("put back:\n%s\nwant\n%s", after, before)
	}
	if _, err := os.Stat(links); !os.IsNotExist(err) {
		t.Errorf("the links are still there: %v", err)
	}
}

// A process that died with the links in place leaves them to the next one.
func TestGuardOfACrash(t *testing.T) {
	t.Parallel()
	dir, _ := filled(t, 5, false)
	before := contents(t, dir)
	file := blockFiles(t, dir)[0]
	links := filepath.Join(t.TempDir(), "links")
	if err := storefolder.NewGuard(dir, links).Protect(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil { // a removal that was cut short
		t.Fatal(err)
	}
	g := storefolder.NewGuard(dir, links)
	if back, err := g.PutBack(); err != nil || !slices.Equal(back, []string{"S"}) {
		t.Fatalf("put back %v, %v, want S", back, err)
	}
	if after := contents(t, dir); after != before {
		t.Errorf("put back:\n%s\nwant\n%s", after, before)
	}
	aside := filepath.Join(t.TempDir(), "aside", "S")
	if err := g.SetAside("S", aside); err != nil {
		t.Fatal(err)
	}
	if names, _ := storefolder.Streams(dir); len(names) > 0 {
		t.Errorf("streams %v, want none after S was set aside", names)
	}
	if _, err := os.Stat(filepath.Join(aside, "msgs", filepath.Base(file))); err != nil {
		t.Errorf("what was set aside: %v", err)
	}
}

// contents lists all files with their sizes.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			fmt.Fprintln(&b, strings.TrimPrefix(path, dir), info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCheck(t *testing.T) {
	t.Parallel()
	dir, _ := filled(t, 5, false)
	if err := storefolder.Check(dir, "S"); err != nil {
		t.Fatalf("a whole stream: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "S", "msgs", "9.blk"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := storefolder.Check(dir, "S"); err == nil || !strings.Contains(err.Error(), "9.blk") {
		t.Errorf("a folder in the place of a block: %v, want its name", err)
	}
}
