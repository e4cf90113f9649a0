package delivery

import (
	"net/http"
	"sync"
	"time"

	"belfry/internal/job"
)

// laneIdle is how long a route's connections are kept when nothing is sent.
const laneIdle = 30 * time.Second

// relieveEvery is the shortest time between two closings of all routes' idle
// connections.
const relieveEvery = time.Second

// lanes hold the connections of each route that recently had a try. No two routes
// share one: over HTTP/2 all tries on a connection share its fate, so one route with a
// bad path, or a receiver that breaks the connection, would fail others.
type lanes struct {
	base *http.Transport // the template for every route's transport
	age  time.Duration   // how long a transport is used

	mu sync.Mutex // guards what follows, and in the lanes users and idle
	of map[job.RouteKey]*lane

	relieved time.Time
}

// lane has the connections of one route. It is safe for concurrent use.
type lane struct {
	base  *http.Transport
	age   time.Duration
	users int         // tries under way
	idle  *time.Timer // ends a lane without users

	mu    sync.Mutex // guards what follows
	http1 bool       // the receiver wants no HTTP/2
	keep  int        // connections that may be idle
	now   *connections
	born  time.Time
}

// connections are those that a lane uses for some time, and then retires. The idle ones
// among them are closed when no try is under way on any: a transport takes a connection
// for idle before it hands on the answer that came on it, and closing the connection in
// that moment loses the answer.
type connections struct {
	*http.Transport
	tries   int  // under way; the lane's mu guards both
	retired bool // no more tries begin
}

// close closes the idle ones if they may be closed now. The lane's mu is held.
func (c *connections) close() {
	if c.retired && c.tries == 0 {
		c.CloseIdleConnections()
	}
}

func newLanes(base *http.Transport, age time.Duration) *lanes {
	return &lanes{base: base, age: age, of: make(map[job.RouteKey]*lane)}
}

// take returns the lane of a route for one try, which gives it back. The lane keeps as
// many connections as the route may have tries under way.
func (ls *lanes) take(key job.RouteKey, concurrency int) *lane {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.of[key]
	if l == nil {
		l = &lane{base: ls.base, age: ls.age}
		l.idle = time.AfterFunc(laneIdle, func() { ls.drop(key, l) })
		ls.of[key] = l
	}
	l.idle.Stop()
	l.users++
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep = concurrency
	return l
}

func (ls *lanes) give(l *lane) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l.users--
	if l.users == 0 {
		l.idle.Reset(laneIdle)
	}
}

// drop forgets a lane without users.
func (ls *lanes) drop(key job.RouteKey, l *lane) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l.users > 0 || ls.of[key] != l {
		return
	}
	delete(ls.of, key)
	l.renew(nil)
}

// close ends all connections that are idle.
func (ls *lanes) close() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for key, l := range ls.of {
		l.idle.Stop()
		l.renew(nil)
		delete(ls.of, key)
	}
}

// relieve closes the idle connections of all routes because this machine has run out
// of the resources they use. Connections in use stay and become idle later, so it
// closes again.
func (ls *lanes) relieve() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if !ls.relieved.IsZero() && time.Since(ls.relieved) < relieveEvery {
		return
	}
	ls.relieved = time.Now()
	for _, l := range ls.of {
		l.renew(nil)
	}
}

// transport returns the lane's current connections, for a try that gives them back with
// release.
func (l *lane) transport() *connections {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now == nil || time.Since(l.born) > l.age {
		l.renewLocked()
		l.now, l.born = &connections{Transport: l.make()}, time.Now()
	}
	l.now.tries++
	return l.now
}

// release says that a try has ended its use of the connections.
func (l *lane) release(c *connections) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.tries--
	c.close()
}

// renew makes later tries use new connections, unless another call has done so since
// old was in use; nil stands for the current ones. Tries under way end on theirs.
func (l *lane) renew(old *connections) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old == nil || old == l.now {
		l.renewLocked()
	}
}

func (l *lane) renewLocked() {
	if l.now != nil {
		l.now.retired = true
		l.now.close()
		l.now = nil
	}
}

// only1 makes all later tries use HTTP/1.1.
func (l *lane) only1(old *connections) {
	l.mu.Lock()
	if !l.http1 {
		l.http1 = true
		l.renewLocked()
	}
	l.mu.Unlock()
	l.renew(old)
}

// single returns what makes one new connection, which is not kept. It is to be released,
// too.
func (l *lane) single() *connections {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.make()
	t.DisableKeepAlives = true
	return &connections{Transport: t, tries: 1, retired: true}
}

func (l *lane) make() *http.Transport {
	t := l.base.Clone()
	t.MaxIdleConnsPerHost = l.keep
	if l.http1 {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(true)
		if t.TLSClientConfig != nil { // has what the base offers
			t.TLSClientConfig.NextProtos = []string{"http/1.1"}
		}
	}
	return t
}
