package streams_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"belfry/internal/job"
	"belfry/streams"
	"belfry/streams/asset"
	"belfry/streams/wire"
)

func TestPrefixes(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]bool{
		"team1": true, "a": true, "7": true, "A-b_C": true, "team-": true, "KVs": true, "Fires": true, "fires1": true,
		strings.Repeat("x", 32): true, strings.Repeat("x", 33): false,
		"": false, "-a": false, "_a": false, "_INBOX": false, "a.b": false, "a b": false, "a*": false, ">": false, "$JS": false,
		"é": false, "a\x00": false, "a\n": false, "a/b": false, `a\b`: false, "..": false, "a>": false,
		"fires": false, "fence": false, "dead": false, "attempts": false, "belfry": false, "JS": false,
		"KV": false, "KV_a": false, "OBJ": false, "OBJ_x": false,
	} {
		if got := wire.IsPrefix(prefix); got != want {
			t.Errorf("IsPrefix(%q) = %v, want %v", prefix, got, want)
		}
	}
}

// Without a prefix the names are the same as ever.
func TestPlainNames(t *testing.T) {
	t.Parallel()
	var names, subjects []string
	for _, a := range streams.Assets(wire.Names(""), 1) {
		names, subjects = append(names, a.Name), append(subjects, a.Subjects...)
	}
	slices.Sort(names)
	slices.Sort(subjects)
	if want := "ADVISORIES ATTEMPTS DEAD FIRES KV_belfry KV_gates KV_jobs_0 KV_routes KV_tokens"; strings.Join(names, " ") != want {
		t.Errorf("the streams are %s, want %s", names, want)
	}
	want := "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.FIRES.* $JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.FIRES.* " +
		"$KV.belfry.> $KV.gates.> $KV.jobs_0.> $KV.routes.> $KV.tokens.> attempts.> dead.> fence.* fires.>"
	if strings.Join(subjects, " ") != want {
		t.Errorf("the subjects are %s, want %s", subjects, want)
	}
}

// Two stores whose prefixes differ have no stream and no subject in common, and neither
// takes the other's for its own. Everything built from a name is parsed back.
func FuzzPrefix(f *testing.F) {
	for _, two := range [][2]string{{"", "a"}, {"a", "a_b"}, {"a", "a_jobs"}, {"a_jobs_0", "a"}, {"jobs", ""}, {"fires", ""}, {"KV", ""}, {"x_belfry", "x"}, {"jobs_1", "jobs"}} {
		f.Add(two[0], two[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, prefix := range []string{a, b} {
			if prefix != "" && !wire.IsPrefix(prefix) {
				return
			}
		}
		one, other := wire.Names(a), wire.Names(b)
		k := job.Key{DB: "fires.x", Collection: "a b", ID: "é"}
		for i, back := range streams.RoundTrip(one, k) {
			if back != k {
				t.Errorf("%q: key %d comes back as %v, want %v", a, i, back, k)
			}
		}
		if len(streams.RoundTrip(one, k)) == 0 {
			t.Errorf("%q: %v does not come back", a, k)
		}
		theirs := streams.Assets(other, 3)
		for _, own := range streams.Assets(one, 3) {
			if !(asset.Set{Names: one}).Has(own.Name) || len(own.Name) > 100 {
				t.Errorf("%q does not know its own %s", a, own.Name)
			}
			for _, subject := range own.Subjects {
				if got := one.StreamOf(strings.NewReplacer("*", "x", ">", "x").Replace(subject)); got != own.Name && !strings.HasPrefix(subject, "$JS.") {
					t.Errorf("%q: %s is of the stream %q, want %s", a, subject, got, own.Name)
				}
			}
			if a == b {
				continue
			}
			if (asset.Set{Names: other}).Has(own.Name) {
				t.Errorf("%q takes %s of %q for its own", b, own.Name, a)
			}
			for _, their := range theirs {
				for _, subject := range own.Subjects {
					if slices.ContainsFunc(their.Subjects, func(s string) bool { return server.SubjectsCollide(s, subject) }) {
						t.Errorf("%q and %q share subjects of %s", a, b, subject)
					}
				}
			}
		}
		for _, subject := range []string{"belfry.>", "JS.belfry.>"} {
			if a != b && server.SubjectsCollide(one.Subject(subject), other.Subject(subject)) {
				t.Errorf("%q and %q share %s", a, b, subject)
			}
		}
	})
}
