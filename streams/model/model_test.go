package model

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// maxSchedules is how many schedules a test plays at most. A test in which none may fail
// plays all of them, or a tenth with -short.
const maxSchedules = 20_000

// play plays the schedule of a seed and returns the faults that it shows.
func play(seed uint64, rules rules, tracing bool) (*world, []fault) {
	w := newWorld(seed, rules)
	w.tracing = tracing
	if !w.run() {
		return w, []fault{{noRest, "still busy after the last step"}}
	}
	return w, w.check()
}

// explain describes a schedule step by step.
func explain(seed uint64, rules rules) string {
	w, faults := play(seed, rules, true)
	return fmt.Sprintf("seed %d, faults %v\n%s", seed, faults, strings.Join(w.trace, "\n"))
}

// TestNoLossNoDouble plays 20,000 schedules of the unchanged protocol. With MODEL_SEED it
// plays only that schedule and prints its steps.
func TestNoLossNoDouble(t *testing.T) {
	t.Parallel()
	if only := os.Getenv("MODEL_SEED"); only != "" {
		seed, err := strconv.ParseUint(only, 10, 64)
		if err != nil {
			t.Fatalf("MODEL_SEED: %v", err)
		}
		t.Log(explain(seed, rules{}))
		if _, faults := play(seed, rules{}, false); len(faults) > 0 {
			t.Errorf("seed %d: got faults %v, want none", seed, faults)
		}
		return
	}

	var mu sync.Mutex
	var sum tally // guarded by mu until the shards are done
	t.Cleanup(func() {
		t.Log(sum)
		for i, n := range sum {
			if n == 0 && !t.Failed() {
				t.Errorf("the schedules had no %s; they do not test it", counters[i])
			}
		}
	})
	const shards = 8
	size := uint64(maxSchedules / shards)
	if testing.Short() {
		size /= 10
	}
	for from := uint64(0); from < shards*size; from += size {
		t.Run(fmt.Sprintf("seeds_%d-%d", from, from+size-1), func(t *testing.T) {
			t.Parallel()
			var part tally
			for seed := from; seed < from+size; seed++ {
				w, faults := play(seed, rules{}, false)
				if len(faults) > 0 {
					t.Fatalf("got faults, want none; MODEL_SEED=%d plays it again\n%s", seed, explain(seed, rules{}))
				}
				part.add(w.count())
			}
			mu.Lock()
			defer mu.Unlock()
			sum.add(part)
		})
	}
}

// find plays schedules until it has seen each wanted kind of fault. It fails the test if
// one never appears.
func find(t *testing.T, rules rules, wanted ...kind) {
	t.Helper()
	first := map[kind]fault{}
	for seed := range uint64(maxSchedules) {
		_, faults := play(seed, rules, false)
		for _, f := range faults {
			if _, had := first[f.kind]; !had {
				first[f.kind] = f
				t.Logf("seed %d: %v", seed, f)
			}
		}
		missing := false
		for _, kind := range wanted {
			_, had := first[kind]
			missing = missing || !had
		}
		if !missing {
			return
		}
	}
	t.Errorf("rules %+v: got faults %v in %d schedules, want each of %v", rules, first, maxSchedules, wanted)
}

// TestWithoutFenceFails removes the fence. Then a takeover cannot know whether an older
// owner will still publish a claim that it finds without a fire, and is wrong either way:
// a claim that it publishes is fired twice when its owner lives, and one that it leaves
// is lost when its owner died.
//
// Publishing every such claim, as the protocol does, never loses one. Its premise, that a
// claim behind L cannot be in FIRES, depends on the fence. Without the fence such claims
// are their owner's, and both faults show.
func TestWithoutFenceFails(t *testing.T) {
	t.Parallel()
	t.Run("publishing late claims", func(t *testing.T) {
		t.Parallel()
		find(t, rules{noFence: true}, double)
	})
	t.Run("leaving late claims to their owner", func(t *testing.T) {
		t.Parallel()
		find(t, rules{noFence: true, leavesLateClaims: true}, loss, double)
	})
}

// TestNeedsEveryRule breaks one rule at a time, each in a plausible way, and expects the
// check to find the fault.
func TestNeedsEveryRule(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		rules rules
		want  kind
	}{
		{"late claims are left to their owner", rules{leavesLateClaims: true}, loss},
		{"a missing claim answer counts as lost", rules{believesMissing: true}, loss},
		{"a missing publish answer is sent again", rules{publishesAgain: true}, double},
		{"a publish that is refused under a fence that stands is sent again", rules{believesRefusals: true}, double},
		{"fires_after is ignored", rules{readsFromLastFence: true}, double},
		{"the takeover does not wait for L", rules{skipsTail: true}, double},
		{"only a refusal deposes", rules{heedsOnlyRefusal: true}, loss},
		{"a claim is a plain write", rules{claimsBlindly: true}, untruth},
		{"a claim comes early", rules{claimsAhead: true}, early},
		{"a redelivered fire is judged by a replica", rules{trustsReplicas: true}, double},
		{"an overdue claim is delivered", rules{deliversOverdue: true}, double},
		{"a try that is not made is counted", rules{putsBackCounted: true}, invalid},
		{"a fire is acked before it is put back", rules{acksFirst: true}, loss},
		{"nobody looks for fires that were purged", rules{ignoresPurges: true}, loss},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			find(t, tt.rules, tt.want)
		})
	}
}
