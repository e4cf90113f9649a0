package asset_test

import (
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/streams/asset"
)

var plain = asset.Set{HistoryTTL: 24 * time.Hour, FiresMaxAge: 72 * time.Hour, DeadMaxAge: 720 * time.Hour, PresenceTTL: time.Minute}

// All streams together are created within the bound. Streams that would otherwise drop
// unread messages refuse new ones.
func TestBounded(t *testing.T) {
	const most = 1 << 30
	set := plain
	set.MaxBytes = most
	for _, partitions := range []int{1, 2, 50} {
		var all int64
		for _, cfg := range set.All(partitions) {
			cfg = set.Bounded(cfg, partitions)
			all += cfg.MaxBytes
			if cfg.MaxBytes <= 0 {
				t.Errorf("%s has no max_bytes", cfg.Name)
			}
			if drops := cfg.Name == "ATTEMPTS" || cfg.Name == "ADVISORIES"; drops != (cfg.Discard == jetstream.DiscardOld) {
				t.Errorf("%s that is full has discard %v", cfg.Name, cfg.Discard)
			}
			if d := asset.Differences(cfg, cfg); len(d) > 0 {
				t.Errorf("%s as it is made has %d differences", cfg.Name, len(d))
			}
		}
		if all > most || all < most*9/10 {
			t.Errorf("the streams of %d partitions have %d of %d bytes", partitions, all, most)
		}
	}
}

// Each setting that Belfry insists on is found and restored; the operator's settings
// stay.
func TestDifferences(t *testing.T) {
	for _, want := range plain.All(1) {
		is := want
		is.Replicas, is.MaxBytes, is.Compression = 3, 1<<30, jetstream.S2Compression
		if want.Name == "FIRES" || want.Name == "DEAD" {
			is.Discard = jetstream.DiscardNew
		}
		if d := asset.Differences(is, want); len(d) > 0 {
			t.Errorf("%s with an operator's settings: %s differs", want.Name, d[0].Name)
		}
		is.Subjects, is.NoAck, is.MaxMsgs, is.Duplicates = []string{"others.>"}, true, 7, 3*time.Hour
		var names []string
		for _, f := range asset.Differences(is, want) {
			names = append(names, f.Name)
			f.Set(&is, &want)
		}
		if !slices.Equal(names, []string{"subjects", "max_msgs", "duplicate_window", "no_ack"}) {
			t.Errorf("%s: %v differ", want.Name, names)
		}
		if d := asset.Differences(is, want); len(d) > 0 {
			t.Errorf("%s: %s still differs", want.Name, d[0].Name)
		}
		if is.Replicas != 3 {
			t.Errorf("%s has lost an operator's setting", want.Name)
		}
	}
}

func TestHas(t *testing.T) {
	set := plain
	set.Names = "team1"
	for _, name := range set.StreamNames(3) {
		if !set.Has(name) || plain.Has(name) {
			t.Errorf("%s is of the store with the prefix %v, without %v", name, set.Has(name), plain.Has(name))
		}
	}
	if set.Has("ORDERS") {
		t.Error("a stream of others has a name of Belfry's")
	}
}
