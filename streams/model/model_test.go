package model

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// modelMost is how many schedules a test plays at most; where none may fail it
// plays all of them, or a tenth with -short.
const modelMost = 20_000

// modelPlay plays the schedule of a seed and returns what is wrong with it.
func modelPlay(seed uint64, rules modelRules, tracing bool) (*modelWorld, []modelFault) {
	w := modelNewWorld(seed, rules)
	w.tracing = tracing
	if !w.run() {
		return w, []modelFault{{modelNoRest, "still busy after the last step"}}
	}
	return w, w.check()
}

// modelExplain tells a schedule step by step.
func modelExplain(seed uint64, rules modelRules) string {
	w, faults := modelPlay(seed, rules, true)
	return fmt.Sprintf("seed %d, faults %v\n%s", seed, faults, strings.Join(w.trace, "\n"))
}

// TestModelNoLossNoDouble plays 20,000 schedules of the protocol as it is. With
// MODEL_SEED it plays that one and tells its steps.
func TestModelNoLossNoDouble(t *testing.T) {
	t.Parallel()
	if only := os.Getenv("MODEL_SEED"); only != "" {
		seed, err := strconv.ParseUint(only, 10, 64)
		if err != nil {
			t.Fatalf("MODEL_SEED: %v", err)
		}
		t.Log(modelExplain(seed, modelRules{}))
		if _, faults := modelPlay(seed, modelRules{}, false); len(faults) > 0 {
			t.Errorf("seed %d: got faults %v, want none", seed, faults)
		}
		return
	}

	var mu sync.Mutex
	var sum modelTally // guarded by mu until the shards are done
	t.Cleanup(func() {
		t.Log(sum)
		for i, n := range sum {
			if n == 0 && !t.Failed() {
				t.Errorf("the schedules had no %s; they do not test it", modelCounters[i])
			}
		}
	})
	const shards = 8
	size := uint64(modelMost / shards)
	if testing.Short() {
		size /= 10
	}
	for from := uint64(0); from < shards*size; from += size {
		t.Run(fmt.Sprintf("seeds_%d-%d", from, from+size-1), func(t *testing.T) {
			t.Parallel()
			var part modelTally
			for seed := from; seed < from+size; seed++ {
				w, faults := modelPlay(seed, modelRules{}, false)
				if len(faults) > 0 {
					t.Fatalf("got faults, want none; MODEL_SEED=%d plays it again\n%s", seed, modelExplain(seed, modelRules{}))
				}
				part.add(w.count())
			}
			mu.Lock()
			defer mu.Unlock()
			sum.add(part)
		})
	}
}

// modelFind plays schedules until each wanted kind of fault was seen, and fails
// the test if one never is.
func modelFind(t *testing.T, rules modelRules, wanted ...modelKind) {
	t.Helper()
	first := map[modelKind]modelFault{}
	for seed := range uint64(modelMost) {
		_, faults := modelPlay(seed, rules, false)
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
	t.Errorf("rules %+v: got faults %v in %d schedules, want each of %v", rules, first, modelMost, wanted)
}

// TestModelWithoutFenceFails takes the fence out. Then a takeover cannot know
// whether an older owner will still publish a claim that it finds without a
// fire, and is wrong either way: a claim that it publishes is fired twice when
// its owner lives, and one that it leaves is lost when its owner died.
//
// Publishing every one of them, as the protocol does, is never a loss; the
// premise of doing so, that a claim behind L cannot be in FIRES, is the fence.
// Without it, such claims are their owner's, and both faults show.
func TestModelWithoutFenceFails(t *testing.T) {
	t.Parallel()
	t.Run("publishing late claims", func(t *testing.T) {
		t.Parallel()
		modelFind(t, modelRules{noFence: true}, modelDouble)
	})
	t.Run("leaving late claims to their owner", func(t *testing.T) {
		t.Parallel()
		modelFind(t, modelRules{noFence: true, leavesLateClaims: true}, modelLoss, modelDouble)
	})
}

// TestModelNeedsEveryRule breaks one rule at a time, each in a way that somebody
// might well write, and expects the check to find out.
func TestModelNeedsEveryRule(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		rules modelRules
		want  modelKind
	}{
		{"late claims are left to their owner", modelRules{leavesLateClaims: true}, modelLoss},
		{"a missing claim answer counts as lost", modelRules{believesMissing: true}, modelLoss},
		{"a missing publish answer is sent again", modelRules{publishesAgain: true}, modelDouble},
		{"a publish that is refused under a fence that stands is sent again", modelRules{believesRefusals: true}, modelDouble},
		{"fires_after is ignored", modelRules{readsFromLastFence: true}, modelDouble},
		{"the takeover does not wait for L", modelRules{skipsTail: true}, modelDouble},
		{"only a refusal deposes", modelRules{heedsOnlyRefusal: true}, modelLoss},
		{"a claim is a plain write", modelRules{claimsBlindly: true}, modelUntruth},
		{"a claim comes early", modelRules{claimsAhead: true}, modelEarly},
		{"a redelivered fire is judged by a replica", modelRules{trustsReplicas: true}, modelDouble},
		{"an overdue claim is delivered", modelRules{deliversOverdue: true}, modelDouble},
		{"a try that is not made is counted", modelRules{putsBackCounted: true}, modelInvalid},
		{"a fire is acked before it is put back", modelRules{acksFirst: true}, modelLoss},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			modelFind(t, tt.rules, tt.want)
		})
	}
}
