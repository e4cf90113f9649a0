package main

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"belfry/internal/logtest"
	"belfry/internal/natstest"
)

func TestReach(t *testing.T) {
	t.Parallel()
	account, _ := newKey(t, nkeys.CreateAccount)
	_, user := newKey(t, nkeys.CreateUser)
	for _, tc := range []struct {
		name        string
		allow, deny []string
		want        userReach
	}{
		{"everything", nil, nil, reachHarmless},
		{"one consumer", []string{"$JS.API.CONSUMER.MSG.NEXT.FIRES.games_turns"}, nil, reachPart},
		{"the API", []string{"$JS.API.>"}, nil, reachPart},
		{"all but streams", nil, []string{"$JS.API.STREAM.>"}, reachPart},
		{"all but fires", []string{">"}, []string{"fires.>"}, reachPart},
		{"something else", []string{"belfry.job.>"}, nil, reachHarmless},
		{"everything, said so", []string{">"}, nil, reachHarmless},
		{"acks, one of which asks for the next fire", []string{"$JS.ACK.FIRES.games_turns.>"}, nil, reachPart},
		{"another request", []string{"$JS.API.STREAM.INFO.FIRES"}, nil, reachPart},
		{"what the service says of itself", []string{"$SRV.PING"}, nil, reachPart},
		{"all but what is answered", nil, []string{"$JS.>", "$SRV.>"}, reachHarmless},
		{"all but the API", nil, []string{"$JS.API.>"}, reachPart},
	} {
		claims := jwt.NewUserClaims(user)
		claims.Permissions.Pub.Allow.Add(tc.allow...)
		claims.Permissions.Pub.Deny.Add(tc.deny...)
		token, err := claims.Encode(account)
		if err != nil {
			t.Fatal(err)
		}
		if got := reach(token, ""); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
	if got := reach("", ""); got != reachUnknown {
		t.Errorf("without a JWT: %v, want that it is unknown", got)
	}
}

// A start on an external server says who is in Belfry's account beside it.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	ns := natstest.StartWith(t, &server.Options{Users: []*server.User{{Username: "belfry", Password: "p"}, {Username: "turns", Password: "p"}}})
	for _, connected := range []bool{false, true} {
		if connected {
			nc, err := nats.Connect(ns.ClientURL(), nats.UserInfo("turns", "p"))
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
		}
		log := &logtest.Log{}
		s := New(Config{NATSURL: strings.Replace(ns.ClientURL(), "//", "//belfry:p@", 1), Listen: "127.0.0.1:0", Partitions: 1},
			slog.New(slog.NewTextHandler(log, nil)))
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if told := strings.Contains(log.String(), "users share Belfry's account") && strings.Contains(log.String(), "users=[turns]"); told != connected {
			t.Errorf("turns is connected: %v; the log is\n%s", connected, log)
		}
	}
}
