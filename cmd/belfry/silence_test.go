package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"belfry/internal/job"
	"belfry/internal/natsdial"
	"belfry/internal/natstest"
	"belfry/internal/tcplink"
)

// silenceOver is how long fires may be held up by a silent server: until the
// silence is noticed, then until another server and the timer are found again.
// The rest is for a machine that has much else to do.
const silenceOver = natsdial.Limit + 6*time.Second + 20*time.Second

// The NATS server that Belfry is connected to falls silent: all packets are
// dropped, and nothing is closed. Fires and requests go on through another one,
// again and again.
func TestSilentNATSServer(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	links := map[string]*tcplink.Link{}
	var urls []string
	for range 2 {
		k, err := tcplink.New("127.0.0.1:0", ns.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(k.Close)
		links["nats://"+k.Addr()] = k
		urls = append(urls, "nats://"+k.Addr())
	}
	p := startServing(t, "--nats-url", strings.Join(urls, ","))
	in := newReceiver(t, nil)
	in.route(t, p, "r")

	used := p.ready["nats"]
	for round, id := range []string{"first", "second"} {
		due := time.Now().Add(2 * time.Second)
		p.create(t, []plannedJob{{id: id, due: due, meta: `1`}}, "r")
		links[used].Silence()
		began := time.Now()
		// A request that is under way when the server falls silent is answered.
		p.create(t, []plannedJob{{id: id + " later", due: began.Add(time.Hour), meta: `1`}}, "r")
		if took := time.Since(began); took > silenceOver {
			t.Errorf("a request to a silent server took %v, want at most %v", took, silenceOver)
		}
		post := in.waitFor(t, round+1)[id]
		if late := post[0].at.Sub(due); late > silenceOver {
			t.Errorf("the server fell silent, and a job came %v late, want at most %v", late, silenceOver)
		}
		p.becomes(t, "/job/db/coll/"+id, job.Delivered)
		p.must(t, http.MethodGet, "/readyz", "")
		t.Logf("all is well %v after the server fell silent", time.Since(began).Round(time.Millisecond))

		// The next round silences the other server, whose connections are fresh.
		links[used].Mend()
		for url := range links {
			if url != used {
				used = url
				break
			}
		}
	}
}

// One of two nodes is cut off from NATS by silence. The other one fires its jobs.
func TestSilenceAroundOneNode(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	k, err := tcplink.New("127.0.0.1:0", ns.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	silent := startServing(t, "--nats-url", "nats://"+k.Addr())
	other := startServing(t, "--nats-url", ns.ClientURL())
	in := newReceiver(t, nil)
	in.route(t, other, "r")
	due := time.Now().Add(2 * time.Second)
	const jobs = 32 // in all partitions
	other.create(t, plannedJobs(jobs, due, time.Second), "r")
	k.Silence()
	for id, posts := range in.waitFor(t, jobs) {
		if late := posts[0].at.Sub(due); late > silenceOver {
			t.Errorf("job %s came %v late, want at most %v", id, late, silenceOver)
		}
	}
	if a, err := silent.do(http.MethodGet, "/readyz", ""); err == nil && a.status == http.StatusOK {
		t.Logf("the node says that it is ready, %v", a) // it may not have looked yet
	}
	k.Mend()
	silent.becomes(t, "/job/db/coll/0", job.Delivered)
}
