package setup_test

import (
	"errors"
	"strings"
	"testing"

	"belfry/internal/fault"
	"belfry/streams/manifest"
	"belfry/streams/setup"
	"belfry/streams/wire"
)

// A data folder with a store of other names is refused, and the refusal names both.
func TestFolderOfAnotherPrefix(t *testing.T) {
	t.Parallel()
	written := func(prefix wire.Names) []byte {
		text, err := manifest.Manifest{Prefix: string(prefix), Made: []string{prefix.FiresStream()}}.Encode()
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
		want     []string // words in the refusal; nil is no refusal
	}{
		"an empty folder":                   {"team1", nil, nil, nil},
		"streams of others":                 {"team1", nil, []string{"ORDERS", "KV_settings"}, nil},
		"its own, written down":             {"team1", written("team1"), team, nil},
		"its own, not written down":         {"team1", nil, team, nil},
		"plain, by an older version":        {"", nil, plain, nil},
		"plain with a guest":                {"", written(""), append(team, plain...), nil},
		"a manifest that cannot be read":    {"team1", []byte("{"), plain, nil}, // reported by the start
		"a prefix on plain data":            {"team1", written(""), plain, []string{"without --asset-prefix", "--asset-prefix team1"}},
		"a prefix on older plain data":      {"team1", nil, plain, []string{"without --asset-prefix"}},
		"plain on data with a prefix":       {"", written("team1"), team, []string{"--asset-prefix team1"}},
		"plain on such data, no manifest":   {"", nil, team, []string{"--asset-prefix team1"}},
		"another prefix":                    {"team2", written("team1"), team, []string{"--asset-prefix team1", "--asset-prefix team2"}},
		"a guest's prefix":                  {"team1", written(""), append(team, plain...), []string{"without --asset-prefix"}},
		"a manifest whose streams are gone": {"team1", written(""), nil, []string{"without --asset-prefix"}},
	} {
		err := setup.CheckFolder(tt.names, tt.manifest, tt.folders)
		var refusal *setup.Refusal
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
