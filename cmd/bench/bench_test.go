package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/internal/proc"
	"belfry/internal/proctest"
)

// TestMain makes the test binary a plain nats-server when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == asServer {
		if err := runServer(os.Args[2:]); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// Each contestant does a small amount of its work and is measured. The rows that kill a
// process are left to the run itself: they take half a minute however small they are.
func TestRowsRun(t *testing.T) {
	t.Parallel()
	belfry := proctest.Belfry(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, measure := range map[string]func(context.Context, *bench) (outcome, error){
		"NATS route": measureNATS(always, plan{10_000, 1000}),
		"webhooks":   measureWebhooks(relaxed, plan{10_000, 0}),
		"create":     measureCreate(always, 64),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &bench{belfry: belfry, self: self, dir: t.TempDir(), part: 500, log: io.Discard}
			got, err := measure(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range []figures{got.belfry, got.native, got.bare} {
				for i, x := range f {
					if x <= 0 {
						t.Errorf("figure %d of %v is not positive", i, got)
					}
				}
			}
			if len(got.belfry) == 0 {
				t.Errorf("belfry has no figures: %v", got)
			}
		})
	}
}

func TestMetaRoundTrip(t *testing.T) {
	t.Parallel()
	due := time.UnixMilli(1_700_000_000_123)
	i, got, err := parseMeta(meta(42, due))
	if i != 42 || !got.Equal(due) || err != nil {
		t.Errorf("parseMeta(meta(42, %v)): got %d, %v, %v", due, i, got, err)
	}
	if _, _, err := parseMeta([]byte(`{"id":1}`)); err == nil {
		t.Error(`parseMeta({"id":1}): got no error, want one`)
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	start := time.UnixMilli(1000)
	for _, tt := range []struct {
		plan plan
		i    int
		want int64
	}{
		{plan{10, 0}, 9, 1000},
		{plan{10, 200}, 0, 1000},
		{plan{10, 200}, 1, 1005},
		{plan{10, 20_000}, 19, 1000},
		{plan{10, 20_000}, 20, 1001},
	} {
		if got := tt.plan.due(start, tt.i).UnixMilli(); got != tt.want {
			t.Errorf("due of job %d of %+v: got %d, want %d", tt.i, tt.plan, got, tt.want)
		}
	}
}

func TestTally(t *testing.T) {
	t.Parallel()
	past, future := time.Now().Add(-time.Second), time.Now().Add(time.Hour)
	for _, tt := range []struct {
		name     string
		arrivals [][]byte
		want     string
	}{
		{"all", [][]byte{meta(1, past), meta(0, past)}, ""},
		{"one lost", [][]byte{meta(1, past)}, "of 2 jobs 1 did not arrive, 0 did twice, 0 early"},
		{"one twice", [][]byte{meta(1, past), meta(1, past), meta(0, past)}, "of 2 jobs 0 did not arrive, 1 did twice, 0 early"},
		{"one early", [][]byte{meta(1, past), meta(0, future)}, "of 2 jobs 0 did not arrive, 0 did twice, 1 early"},
		{"a strange one", [][]byte{meta(2, past)}, "job 2 arrived, which was never created"},
	} {
		tally := newTally(2)
		for _, m := range tt.arrivals {
			tally.arrived(m)
		}
		got := ""
		if err := tally.wait(t.Context(), 0); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: wait says %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestRow(t *testing.T) {
	t.Parallel()
	r := row{work: "w", figures: "rate / ms", sync: always, target: atLeast("rate ≥ 8,000", 8000)}
	for _, tt := range []struct {
		o    outcome
		want string
	}{
		{
			outcome{figures{12_345, 0.8125}, figures{1234.5, 250}, nil},
			"| w | rate / ms | always | 12,345 / 0.81 | 1,234 / 250 | – | 10 / 0.003 |  | rate ≥ 8,000: met | 3 % |\n",
		},
		{
			outcome{figures{7999, 1}, nil, figures{0, 2}},
			"| w | rate / ms | always | 7,999 / 1 | – | 0 / 2 |  | – / 0.50 | rate ≥ 8,000: **missed** | 3 % |\n",
		},
	} {
		var got bytes.Buffer
		table{&got}.row(r, tt.o, 3.4)
		if diff := cmp.Diff(tt.want, got.String()); diff != "" {
			t.Errorf("row of %v (-want +got):\n%s", tt.o, diff)
		}
	}
}

func TestSpread(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i)*time.Millisecond)
	}
	for _, tt := range []struct {
		of   []time.Duration
		want figures
	}{
		{nil, figures{0, 0, 0}},
		{[]time.Duration{time.Millisecond}, figures{1, 1, 1}},
		{hundred, figures{50, 99, 100}},
	} {
		if diff := cmp.Diff(tt.want, spread(tt.of)); diff != "" {
			t.Errorf("spread of %d durations (-want +got):\n%s", len(tt.of), diff)
		}
	}
}

// A row also stops a node that was killed and could not be resumed.
func TestNodeIsStoppedAfterKill(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{self: self, dir: t.TempDir(), log: io.Discard}
	n, err := b.startServer(t.Context(), relaxed)
	if err != nil {
		t.Fatal(err)
	}
	n.kill()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		n.stop()
		n.kill()
	}()
	select {
	case <-stopped:
	case <-time.After(10 * time.Second):
		t.Fatal("stop of a node that was killed still waits after 10 s")
	}
	if _, err := os.Stat(n.dir); !os.IsNotExist(err) {
		t.Errorf("its data after stop: %v, want none", err)
	}
}

// The child's log and its runtime's lines come mixed.
func TestNodeReadsItsChild(t *testing.T) {
	t.Parallel()
	var shown bytes.Buffer
	n := &node{proc: &proc.Process{}, fail: &shown, traced: true, said: map[string]int{}, more: make(chan struct{})}
	for _, line := range []string{
		"gc " + `{"level":"INFO","msg":"belfry is listening","api":"http://127.0.0.1:1","nats":"nats://127.0.0.1:2"}`,
		"2 @0.035s 5%: 0.074+1.6+0.074 ms clock, 0.14+1.1/0.90/0+0.14 ms cpu, 4->5->3 MB, 4 MB goal, 2 P",
		`{"level":"WARN","msg":"slow disk"}`,
	} {
		n.take(proc.ParseLine(line))
	}
	if n.heap != 3 || n.collections != 1 {
		t.Errorf("got heap %d MB after %d collections; want 3 after 1", n.heap, n.collections)
	}
	if got, want := shown.String(), `{"level":"WARN","msg":"slow disk"}`+"\n"; got != want {
		t.Errorf("showed %q, want %q", got, want)
	}
	if err := n.waitSaid(t.Context(), proc.SaysListening, 1); err != nil {
		t.Errorf("waitSaid: %v", err)
	}
}
