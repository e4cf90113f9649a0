package setup_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/fault"
	"belfry/streams/asset"
	"belfry/streams/manifest"
	"belfry/streams/setup"
)

// disk is a folder with a folder for each of the named streams.
type disk []string

func (d disk) Folders() []string                  { return slices.Clone(d) }
func (disk) Last(string) (uint64, bool)           { return 0, false }
func (disk) Reason(stream string) string          { return stream + " has a bad block" }
func (disk) Damage() []manifest.Damage            { return nil }
func (disk) SetAside(string) (to string, _ error) { return "", nil }

// A stream that was created and is missing is refused, and so is one that the server does
// not serve. A first start that was cut short is not refused.
func TestJudge(t *testing.T) {
	t.Parallel()
	all := asset.Set{}.All(1)
	var names []string
	for _, cfg := range all {
		names = append(names, cfg.Name)
	}
	// there returns all streams except some, each with its last sequence at last.
	there := func(last uint64, but ...string) (infos []*jetstream.StreamInfo) {
		for _, cfg := range all {
			if !slices.Contains(but, cfg.Name) {
				infos = append(infos, &jetstream.StreamInfo{Config: cfg, State: jetstream.StreamState{LastSeq: last}})
			}
		}
		return infos
	}
	for name, tt := range map[string]struct {
		disk    setup.Disk
		there   []*jetstream.StreamInfo
		offline map[string]string
		written *manifest.Manifest
		fault   string // "" is no refusal
		streams []string
		reason  string
	}{
		"whole":                          {there: there(5), written: &manifest.Manifest{Made: names}},
		"whole, not written down":        {there: there(5)},
		"one is lost":                    {there: there(5, "DEAD"), written: &manifest.Manifest{Made: names}, fault: fault.StreamMissing, streams: []string{"DEAD"}},
		"one that was not used yet":      {there: there(5, "DEAD"), written: &manifest.Manifest{Making: names}},
		"a first start cut short":        {there: there(0, names[4:]...)},
		"an unwritten one is lost":       {there: there(5, "DEAD"), fault: fault.StreamMissing, streams: []string{"DEAD"}, reason: "there are KV_belfry"},
		"an unwritten one, not in order": {there: there(0, "DEAD"), fault: fault.StreamMissing, streams: []string{"DEAD"}},
		"the bucket of the manifest":     {there: there(5, "KV_belfry"), fault: fault.ManifestKeyGone, streams: []string{"KV_belfry"}},
		"a folder the server left": {disk: disk(names), there: there(5, "FIRES"), written: &manifest.Manifest{Made: names},
			fault: fault.StreamUnrecovered, streams: []string{"FIRES"}, reason: "FIRES has a bad block"},
		"one that is not served": {there: there(5, "FIRES"), offline: map[string]string{"FIRES": "unsupported"}, written: &manifest.Manifest{Made: names},
			fault: fault.StreamUnrecovered, streams: []string{"FIRES"}, reason: "unsupported"},
	} {
		got := setup.Judge(tt.disk, tt.there, tt.offline, tt.written)
		switch {
		case tt.fault == "":
			if got != nil {
				t.Errorf("%s: %v, want no refusal", name, got)
			}
		case got == nil || got.Fault != tt.fault || !slices.Equal(got.Streams, tt.streams) || !strings.Contains(got.Error(), tt.reason):
			t.Errorf("%s: %v, want %s of %v, %s", name, got, tt.fault, tt.streams, tt.reason)
		}
	}
}
