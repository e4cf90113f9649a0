package streams_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"belfry/internal/fault"
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

// Without a prefix the names are those that they always were.
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

// Two stores whose prefixes differ have no stream and no subject in common, and
// neither takes the other's for its own; and what is built from a name is read back.
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

// A data folder with a store of other names is refused, with both named.
func TestFolderOfAnotherPrefix(t *testing.T) {
	t.Parallel()
	manifest := func(prefix wire.Names) []byte {
		text, err := streams.EncodeManifest(prefix)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	plain, team := []string{"KV_belfry", "FIRES"}, []string{"KV_team1_belfry", "team1_FIRES"}
	for name, tt := range map[string]struct {
		names    wire.Names
		manifest []byte
		folders  []string
		want     []string // words of the refusal; nil is none
	}{
		"an empty folder":                   {"team1", nil, nil, nil},
		"streams of others":                 {"team1", nil, []string{"ORDERS", "KV_settings"}, nil},
		"its own, written down":             {"team1", manifest("team1"), team, nil},
		"its own, not written down":         {"team1", nil, team, nil},
		"plain, by an older version":        {"", nil, plain, nil},
		"plain with a guest":                {"", manifest(""), append(team, plain...), nil},
		"a manifest that cannot be read":    {"team1", []byte("{"), plain, nil}, // told by the start
		"a prefix on plain data":            {"team1", manifest(""), plain, []string{"without --asset-prefix", "--asset-prefix team1"}},
		"a prefix on older plain data":      {"team1", nil, plain, []string{"without --asset-prefix"}},
		"plain on data with a prefix":       {"", manifest("team1"), team, []string{"--asset-prefix team1"}},
		"plain on such data, no manifest":   {"", nil, team, []string{"--asset-prefix team1"}},
		"another prefix":                    {"team2", manifest("team1"), team, []string{"--asset-prefix team1", "--asset-prefix team2"}},
		"a guest's prefix":                  {"team1", manifest(""), append(team, plain...), []string{"without --asset-prefix"}},
		"a manifest whose streams are gone": {"team1", manifest(""), nil, []string{"without --asset-prefix"}},
	} {
		err := streams.CheckFolder(tt.names, tt.manifest, tt.folders)
		var refusal *streams.Refusal
		if tt.want == nil && err != nil || tt.want != nil && (!errors.As(err, &refusal) || refusal.Fault != fault.OtherPrefix) {
			t.Errorf("%s: %v, want a refusal: %v", name, err, tt.want != nil)
			continue
		}
		for _, words := range tt.want {
			if !strings.Contains(err.Error(), words) {
				t.Errorf("%s: %v, want %q in it", name, err, words)
			}
		}
	}
}
