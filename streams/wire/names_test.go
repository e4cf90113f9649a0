package wire_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"belfry/internal/job"
	"belfry/streams/wire"
)

func TestEscape(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"plain-ID_9", "plain-ID_9"},
		{"a.b*c>d e/f", "a=2Eb=2Ac=3Ed=20e=2Ff"},
		{"$JS", "=24JS"},
		{"=", "=3D"},
		{"é", "=C3=A9"},
		{"line\r\nbreak", "line=0D=0Abreak"},
	} {
		got := wire.Escape(tt.in)
		if got != tt.want {
			t.Errorf("Escape(%q) = %q, want %q", tt.in, got, tt.want)
		}
		back, err := wire.Unescape(got)
		if err != nil || back != tt.in {
			t.Errorf("Unescape(%q) = %q, %v, want %q", got, back, err, tt.in)
		}
	}
}

func TestUnescapeRefusesWhatEscapeCannotMake(t *testing.T) {
	for _, in := range []string{"=", "=4", "=zz", "=41", "=2e", "a.b", "é", "a=2", "a b"} {
		if got, err := wire.Unescape(in); err == nil {
			t.Errorf("Unescape(%q) = %q, want an error", in, got)
		}
	}
}

func FuzzUnescape(f *testing.F) {
	for _, s := range []string{"", "a", "=2E", "=2e", "é", "=", "a=41"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if back, err := wire.Unescape(s); err == nil && wire.Escape(back) != s {
			t.Errorf("Unescape(%q) = %q, which escapes to %q", s, back, wire.Escape(back))
		}
		e := wire.Escape(s)
		if back, err := wire.Unescape(e); err != nil || back != s {
			t.Errorf("Unescape(Escape(%q)) = %q, %v", s, back, err)
		}
		if strings.ContainsAny(e, ".*> /\\\r\n") {
			t.Errorf("Escape(%q) = %q is not one token", s, e)
		}
	})
}

func TestJobKeyRoundTrip(t *testing.T) {
	for _, k := range []job.Key{
		{DB: "db", Collection: "c", ID: "id"},
		{DB: "d.b", Collection: "*", ID: ">"},
		{DB: "ü", Collection: " ", ID: strings.Repeat("/", job.MaxIDBytes)},
	} {
		got, err := wire.ParseJobKey(wire.JobKey(k))
		if err != nil || got != k {
			t.Errorf("key %q came back as %q, %v", k, got, err)
		}
	}
	for _, bad := range []string{"", "a", "a.b", "a.b.c.d", "a..c", "a.b.=FF", "a.b.c*"} {
		if k, err := wire.ParseJobKey(bad); err == nil {
			t.Errorf("ParseJobKey(%q) = %q, want an error", bad, k)
		}
	}
}

// Subscribers type the inbox's name, so it is short for short ids, and no two routes
// share one.
func TestInboxConsumer(t *testing.T) {
	long := strings.Repeat("x", 200)
	seen := map[string]job.RouteKey{}
	for _, tt := range []struct {
		k    job.RouteKey
		want string // empty: any
	}{
		{job.RouteKey{DB: "games", ID: "server"}, "games_server"},
		{job.RouteKey{DB: "a_b", ID: "c"}, "a=5Fb_c"},
		{job.RouteKey{DB: "a", ID: "b_c"}, "a_b_c"},
		{job.RouteKey{DB: long, ID: "a"}, ""},
		{job.RouteKey{DB: long, ID: "b"}, ""},
		{job.RouteKey{DB: strings.Repeat("é", 100), ID: strings.Repeat("é", 100)}, ""},
	} {
		got := wire.InboxConsumer(tt.k)
		if tt.want != "" && got != tt.want {
			t.Errorf("the inbox of %q is %q, want %q", tt.k, got, tt.want)
		}
		if len(got) > 255 {
			t.Errorf("the inbox of %q has a name of %d bytes, JetStream takes 255", tt.k, len(got))
		}
		if other, taken := seen[got]; taken {
			t.Errorf("%q and %q share the inbox %q", tt.k, other, got)
		}
		seen[got] = tt.k
	}
}

// A job's partition can never change, so these vectors cannot either.
func TestPartitionVectors(t *testing.T) {
	for _, tt := range []struct {
		k          job.Key
		partitions int
		want       int
	}{
		{job.Key{DB: "db", Collection: "coll", ID: "a"}, 1, 0},
		{job.Key{DB: "db", Collection: "coll", ID: "a"}, 8, 4},
		{job.Key{DB: "db", Collection: "coll", ID: "b"}, 8, 5},
		{job.Key{DB: "games", Collection: "turns", ID: "é/1"}, 50, 36},
	} {
		if got := wire.PartitionOf(tt.k, tt.partitions); got != tt.want {
			t.Errorf("partition of %q of %d is %d, want %d", tt.k, tt.partitions, got, tt.want)
		}
	}
	if !utf8.ValidString(wire.JobKey(job.Key{DB: "\xff", Collection: "c", ID: "d"})) {
		t.Error("a key is not UTF-8")
	}
}
