package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/time/rate"
)

const (
	// maxReplies is how many ways back to requesters of the users' account the server
	// keeps. A thousand pulls a second into one subscription that stays make 300,000:
	// the server looks for ways to forget once per replyThreshold.
	maxReplies = 400_000

	repliesTick = 250 * time.Millisecond
)

// replyGuard keeps one user from filling the memory with requests whose way back
// the server has to keep: it disconnects the user who sends most while there are
// too many.
type replyGuard struct {
	server *server.Server
	log    *slog.Logger
	max    int

	kept   int              // at the last look
	sent   map[uint64]int64 // by connection, how many messages it had sent by the last look
	kicked rate.Sometimes   // bounds what is logged
}

func newReplyGuard(ns *server.Server, limit int, log *slog.Logger) *replyGuard {
	return &replyGuard{server: ns, log: log, max: limit, kicked: rate.Sometimes{First: 1, Interval: time.Minute}}
}

// Run looks until ctx ends.
func (g *replyGuard) Run(ctx context.Context) error {
	tick := time.NewTicker(repliesTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			g.look()
		}
	}
}

// look disconnects the busiest user if there are too many ways back, and more than at
// the last look: users who are disconnected leave some that go later.
func (g *replyGuard) look() {
	before := g.kept
	g.kept = g.server.GlobalAccount().NumPendingAllResponses()
	if g.kept < g.max/2 {
		g.sent = nil
		return
	}
	busiest := g.busiest()
	if busiest == nil || g.kept <= g.max || g.kept <= before {
		return
	}
	g.kicked.Do(func() {
		g.log.Warn("a user sends requests faster than they are answered: its connection is closed, so that the memory lasts",
			"user", busiest.AuthorizedUser, "replies", g.kept)
	})
	_ = g.server.DisconnectClientByID(busiest.Cid) // fails if it has just gone
}

// busiest is the user's connection that has sent most since the last look, nil
// if none has.
func (g *replyGuard) busiest() (busiest *server.ConnInfo) {
	conns, err := g.server.Connz(&server.ConnzOptions{Account: usersAccount, Username: true, Limit: 1 << 20})
	if err != nil {
		return nil
	}
	sent, most := map[uint64]int64{}, int64(0)
	for _, c := range conns.Conns {
		sent[c.Cid] = c.InMsgs
		if n := c.InMsgs - g.sent[c.Cid]; n > most {
			busiest, most = c, n
		}
	}
	g.sent = sent
	return busiest
}
