package lease

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"belfry/internal/metrics"
)

// clocks measure how far the clocks of the nodes are apart, and how far the NATS
// server's is from ours. A job fires by the clock of the node that owns its
// partition, so a difference shows as jobs that are early by another clock.
//
// Each node times its heartbeat. The server stores the heartbeat with the time of its own
// clock, which lies between the moment before the write and the moment after the answer.
// The middle of the two is the estimate, and half of the interval is its maximum error.
// The fastest of the last ten heartbeats counts. Each node publishes its estimate. The
// difference between two nodes is the difference of their estimates, with the sum of the
// errors. One server, the leader of the bucket, stores all heartbeats; when another takes
// its place, estimates of both mix for a few seconds.
type clocks struct {
	node    string
	log     *slog.Logger
	metrics *metrics.Streams

	mu     sync.Mutex               // guards what follows
	timed  map[uint64]span          // heartbeats that were answered, by revision
	stored map[uint64]time.Time     // heartbeats that the watch has brought
	last   []difference             // the server's, the newest at the end
	nodes  map[string]nodeClock     // the other nodes'
	told   map[string]time.Time     // when a clock's difference was last logged
	differ map[string]differingWith // the differences beyond the limit at the last look
}

// span is the time that a heartbeat took, by our clock.
type span struct{ from, to time.Time }

// difference is how far a clock is ahead of ours, plus or minus err.
type difference struct{ ahead, err time.Duration }

// nodeClock is what another node reports about its clock.
type nodeClock struct {
	server difference // the server's clock, as that node sees it
	at     time.Time  // when we received it
}

type differingWith struct {
	whose string
	difference
}

const (
	// clocksApart is how far clocks may be apart without a log line.
	clocksApart = 100 * time.Millisecond
	// clockSamples is how many heartbeats are kept; there is one each second.
	clockSamples = 10
	// publishClock is how many heartbeats pass between two reports.
	publishClock = 5
	// clockKnown is how long another node's estimate counts.
	clockKnown = 20 * time.Second
	// tellClocks is how often a lasting difference is logged.
	tellClocks = 10 * time.Minute
)

func newClocks(node string, cfg Config) *clocks {
	return &clocks{
		node: node, log: cfg.Log, metrics: cfg.Metrics,
		timed: map[uint64]span{}, stored: map[uint64]time.Time{}, nodes: map[string]nodeClock{},
		told: map[string]time.Time{}, differ: map[string]differingWith{},
	}
}

// answered records that one of our heartbeats was answered.
func (c *clocks) answered(revision uint64, from, to time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timed[revision] = span{from, to}
	c.measure(revision)
}

// brought records that the watch has brought one of our heartbeats.
func (c *clocks) brought(revision uint64, stored time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stored[revision] = stored
	c.measure(revision)
}

// measure makes an estimate from a heartbeat if both are known. The caller holds c.mu.
func (c *clocks) measure(revision uint64) {
	took, timed := c.timed[revision]
	stored, brought := c.stored[revision]
	if !timed || !brought {
		return
	}
	forgetUpTo(c.timed, revision)
	forgetUpTo(c.stored, revision)
	// Use the wall clock: if it is set meanwhile, the heartbeat may end before it begins,
	// which shows.
	from, to := took.from.Round(0), took.to.Round(0)
	rtt := to.Sub(from)
	if rtt < 0 {
		return
	}
	c.last = append(c.last, difference{stored.Sub(from) - rtt/2, rtt / 2})
	c.last = c.last[max(0, len(c.last)-clockSamples):]
}

func forgetUpTo[T any](m map[uint64]T, revision uint64) {
	for r := range m {
		if r <= revision {
			delete(m, r)
		}
	}
}

// server returns how far the server's clock is ahead of ours. c.mu is held.
func (c *clocks) server() (difference, bool) {
	if len(c.last) == 0 {
		return difference{}, false
	}
	return slices.MinFunc(c.last, func(a, b difference) int { return cmp.Compare(a.err, b.err) }), true
}

// report returns what we tell the other nodes; known is false before the first estimate.
func (c *clocks) report() (data []byte, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, known := c.server()
	return fmt.Appendf(nil, "%d %d", d.ahead, d.err), known
}

// heard records what a node reports.
func (c *clocks) heard(node string, data []byte) {
	ahead, err, found := strings.Cut(string(data), " ")
	a, bad := strconv.ParseInt(ahead, 10, 64)
	e, worse := strconv.ParseInt(err, 10, 64)
	if node == c.node || !found || bad != nil || worse != nil || e < 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[node] = nodeClock{server: difference{time.Duration(a), time.Duration(e)}, at: time.Now()}
}

// left drops a node that is gone.
func (c *clocks) left(node string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.nodes, node)
}

const serverClock = "the NATS server"

// look compares all clocks and reports new differences.
func (c *clocks) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	server, known := c.server()
	if !known {
		return
	}
	c.metrics.ServerClock(server.ahead)
	all := []differingWith{{serverClock, server}}
	var farthest time.Duration
	for node, n := range c.nodes {
		if time.Since(n.at) >= clockKnown {
			delete(c.nodes, node)
			continue
		}
		// Both see the server's clock: the less it is ahead of the other node's clock,
		// the more the other node's clock is ahead of ours.
		d := difference{server.ahead - n.server.ahead, server.err + n.server.err}
		all = append(all, differingWith{"node " + node, d})
		if d.ahead.Abs() > farthest.Abs() {
			farthest = d.ahead
		}
	}
	c.metrics.NodeClock(farthest)
	differ := map[string]differingWith{}
	for _, d := range all {
		if d.ahead.Abs()-d.err > clocksApart {
			differ[d.whose] = d
		}
	}
	c.tell(differ)
	c.differ = differ
}

// tell logs the differences: each at once, then now and then. c.mu is held.
func (c *clocks) tell(differ map[string]differingWith) {
	for whose, d := range differ {
		if at, told := c.told[whose]; !told || time.Since(at) >= tellClocks {
			c.told[whose] = time.Now()
			c.log.Warn("a clock differs from ours", "whose", whose, "ahead", d.ahead.Round(time.Millisecond), "error", d.err.Round(time.Millisecond))
		}
	}
	for whose := range c.told {
		if _, still := differ[whose]; still {
			continue
		}
		if _, just := c.differ[whose]; just {
			c.log.Info("a clock agrees with ours again, or is gone", "whose", whose)
		}
		if time.Since(c.told[whose]) >= tellClocks { // a difference that comes and goes is logged seldom, too
			delete(c.told, whose)
		}
	}
}

// warnings describes the clocks that differ, for humans.
func (c *clocks) warnings() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, d := range c.differ {
		way := "ahead of"
		if d.ahead < 0 {
			way = "behind"
		}
		what := "jobs that one of the nodes fires are early by the other's clock"
		if d.whose == serverClock {
			what = "jobs fire by this node's clock"
		}
		all = append(all, fmt.Sprintf("the clock of %s is %v %s this node's, give or take %v; %s",
			d.whose, d.ahead.Abs().Round(time.Millisecond), way, d.err.Round(time.Millisecond), what))
	}
	slices.Sort(all)
	return all
}
