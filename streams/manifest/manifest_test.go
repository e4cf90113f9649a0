package manifest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/streams/manifest"
	"belfry/streams/wire"
)

func TestDecode(t *testing.T) {
	for _, want := range []manifest.Manifest{
		{Partitions: 2, Made: []string{"KV_belfry", "FIRES"}, Making: []string{"DEAD"}},
		{Prefix: "team1", Partitions: 1, Damage: []manifest.Damage{{Stream: "FIRES", What: "it is short"}}},
	} {
		text, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, found, err := manifest.Decode(text)
		if err != nil || !found {
			t.Fatalf("%s: found %v, %v", text, found, err)
		}
		if got.IsNewer() != (want.Prefix != "") {
			t.Errorf("%s is newer: %v", text, got.IsNewer())
		}
		got.Version = 0
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("-written +read:\n%s", d)
		}
		for name, bad := range map[string]string{
			"half":    string(text[:len(text)/2]),
			"changed": strings.Replace(string(text), `"partitions":`, `"partitions":1`, 1),
		} {
			if _, found, err := manifest.Decode([]byte(bad)); !found || !errors.Is(err, manifest.ErrBad) {
				t.Errorf("%s: found %v, %v, want ErrBad", name, found, err)
			}
		}
	}
	if _, found, err := manifest.Decode(nil); found || err != nil {
		t.Errorf("no text: found %v, %v, want none", found, err)
	}
}

// Damage is reported until somebody accepts exactly that damage, and never again.
func TestAcceptedDamageIsNoNews(t *testing.T) {
	var m manifest.Manifest
	one, other := manifest.Damage{Stream: "FIRES", What: "it is short"}, manifest.Damage{Stream: "DEAD", What: "it is short"}
	if !m.NoteDamage(one) || m.NoteDamage(one) {
		t.Fatal("damage is news once")
	}
	id := m.DamageID()
	if !m.NoteDamage(other) || m.DamageID() == id {
		t.Fatal("more damage has another name")
	}
	if m.Accept(id) || m.Accept("") || !m.Lists(one) {
		t.Error("accepted by another name")
	}
	if !m.Accept(m.DamageID()) || m.DamageID() != "" || m.Lists(one) {
		t.Error("not accepted by its own name")
	}
	if m.NoteDamage(one) || m.NoteDamage(other) {
		t.Error("what was accepted is news")
	}
}

// The position of a stream counts once the stream is created, and never goes back. Leases
// and probes alone are not worth a write.
func TestAdvance(t *testing.T) {
	const n = wire.Names("")
	born, later := time.Unix(1, 0).UTC(), time.Unix(2, 0).UTC()
	probes := func(string, uint64, uint64) bool { return true }
	for _, tt := range []struct {
		name   string
		stream string
		now    manifest.Known
		idle   func(string, uint64, uint64) bool
		want   uint64
		worth  bool
	}{
		{"on", n.FiresStream(), manifest.Known{Last: 8, Created: born}, nil, 8, true},
		{"late answer", n.FiresStream(), manifest.Known{Last: 3, Created: born}, nil, 5, false},
		{"made anew", n.FiresStream(), manifest.Known{Last: 3, Created: later}, nil, 3, true},
		{"probes", n.FiresStream(), manifest.Known{Last: 8, Created: born}, probes, 8, false},
		{"made anew, with probes", n.FiresStream(), manifest.Known{Last: 8, Created: later}, probes, 8, true},
		{"leases", n.BelfryStream(), manifest.Known{Last: 8, Created: born}, nil, 8, false},
		{"not made", n.DeadStream(), manifest.Known{Last: 8, Created: born}, nil, 0, false},
	} {
		m := manifest.Manifest{Made: []string{n.FiresStream(), n.BelfryStream()}, Known: map[string]manifest.Known{
			n.FiresStream(): {Last: 5, Created: born}, n.BelfryStream(): {Last: 5, Created: born},
		}}
		worth := m.Advance(n, map[string]manifest.Known{tt.stream: tt.now}, tt.idle)
		if got := m.Known[tt.stream].Last; got != tt.want || worth != tt.worth {
			t.Errorf("%s: at %d, worth storing %v, want %d, %v", tt.name, got, worth, tt.want, tt.worth)
		}
	}
}

// memory is a ledger that fails on demand.
type memory struct {
	text     []byte
	revision uint64
	fails    error
}

func (l *memory) Read(context.Context) ([]byte, uint64, error) { return l.text, l.revision, nil }

func (l *memory) Write(_ context.Context, text []byte, revision uint64) (uint64, error) {
	if l.fails != nil {
		return 0, l.fails
	}
	if revision != l.revision {
		return 0, manifest.ErrChanged
	}
	l.text = text
	l.revision++
	return l.revision, nil
}

// Two processes that change one manifest do not lose each other's changes.
func TestBookTakesInWhatOthersWrote(t *testing.T) {
	ctx := t.Context()
	ledger := &memory{}
	one, other := manifest.NewBook(ledger), manifest.NewBook(ledger)
	announce := func(name string) func(*manifest.Manifest) bool {
		return func(m *manifest.Manifest) bool { return m.Announce([]string{name}, 1) }
	}
	if err := one.Change(ctx, announce("FIRES")); err != nil {
		t.Fatal(err)
	}
	if err := other.Change(ctx, announce("DEAD")); err != nil {
		t.Fatal(err)
	}
	if err := one.Change(ctx, (*manifest.Manifest).NoteMade); err != nil {
		t.Fatal(err)
	}
	if m, found := other.Current(); !found || !slices.Equal(m.Making, []string{"FIRES", "DEAD"}) {
		t.Errorf("the other has %v, %v", m.Making, found)
	}
	if m, _ := one.Current(); len(m.Made) == 0 {
		t.Error("nothing is made")
	}
}

// A change that cannot be stored counts in memory, and is stored with the next one.
func TestBookKeepsWhatItCouldNotStore(t *testing.T) {
	ctx := t.Context()
	ledger := &memory{fails: errors.New("the disk is full")}
	b := manifest.NewBook(ledger)
	if err := b.Change(ctx, func(m *manifest.Manifest) bool { return m.Announce([]string{"FIRES"}, 1) }); err == nil {
		t.Fatal("stored on a full disk")
	}
	if m, _ := b.Current(); !slices.Equal(m.Making, []string{"FIRES"}) || !b.Behind() {
		t.Errorf("it has %v, behind %v", m.Making, b.Behind())
	}
	ledger.fails = nil
	if err := b.Change(ctx, func(*manifest.Manifest) bool { return false }); err != nil || b.Behind() {
		t.Errorf("then: %v, behind %v", err, b.Behind())
	}
	if m, _, err := manifest.Decode(ledger.text); err != nil || !slices.Equal(m.Making, []string{"FIRES"}) {
		t.Errorf("stored is %v, %v", m.Making, err)
	}
}
