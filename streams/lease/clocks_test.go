package lease_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"belfry/internal/logtest"
	"belfry/streams/lease"
)

// The estimate is the middle of the fastest heartbeat, whether its answer or its record
// arrives first. Setting the clock meanwhile spoils no estimate.
func TestClockEstimate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 12, 24, 18, 0, 0, 0, time.UTC)
	at := func(ms int) time.Time { return now.Add(time.Duration(ms) * time.Millisecond) }
	c := lease.NewClocks("us", nil)
	if _, _, known := c.Server(); known {
		t.Error("there is an estimate before a heartbeat")
	}
	c.Answered(1, at(0), at(40))
	c.Brought(1, at(520))
	check := func(ahead, err time.Duration) {
		t.Helper()
		if a, e, _ := c.Server(); a != ahead || e != err {
			t.Errorf("the server is %v ahead, give or take %v; want %v and %v", a, e, ahead, err)
		}
	}
	check(500*time.Millisecond, 20*time.Millisecond)
	c.Brought(2, at(1504))
	c.Answered(2, at(1000), at(1008))
	check(500*time.Millisecond, 4*time.Millisecond)
	c.Answered(3, at(2000), at(1000)) // the clock was set back meanwhile
	c.Brought(3, at(2500))
	check(500*time.Millisecond, 4*time.Millisecond)
	for i := range 10 { // it stays so, and the earlier estimates are dropped
		c.Brought(uint64(4+i), at(9012+1000*i))
		c.Answered(uint64(4+i), at(7000+1000*i), at(7024+1000*i))
	}
	check(2*time.Second, 12*time.Millisecond)
}

func TestClocksOfOtherNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log logtest.Log
		c := lease.NewClocks("us", log.Logger())
		now := time.Now()
		c.Answered(1, now, now.Add(2*time.Millisecond))
		c.Brought(1, now.Add(time.Millisecond)) // the server agrees
		report := func(node, data string) {
			c.Heard(node, []byte(data))
			c.Look()
		}
		warns := func(n int) {
			t.Helper()
			if got := c.Warnings(); len(got) != n {
				t.Errorf("it warns of %q, want %d of them", got, n)
			}
		}
		for _, garbage := range []string{"", "x", "1", "1 x", "99999999999999999999 1", "3000000000 -1"} {
			report("garbage", garbage)
		}
		report("us", "3000000000 1")        // our own report
		report("close", "90000000 1000000") // 90 ms
		report("unsure", "3000000000 2950000000")
		warns(0)
		report("far", "3000000000 1000000") // it sees the server 3 s ahead of itself
		warns(1)
		if got := c.Warnings()[0]; !strings.HasPrefix(got, "the clock of node far is 3s behind this node's, give or take 2ms; ") {
			t.Errorf("it says %q", got)
		}
		for range 1000 { // 25 minutes
			time.Sleep(1500 * time.Millisecond)
			report("far", "3000000000 1000000")
		}
		if got := strings.Count(log.String(), "a clock differs from ours"); got != 3 {
			t.Errorf("in 25 minutes it is logged %d times, want 3", got)
		}
		time.Sleep(time.Minute) // without a report the node counts as gone
		c.Look()
		warns(0)
		report("far", "3000000000 1000000")
		warns(1)
		c.Left("far")
		c.Look()
		warns(0)
	})
}
