package main

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"belfry/streams/wire"
)

// neighboursWait is how long the servers have to answer who is connected.
const neighboursWait = 500 * time.Millisecond

// warnOfNeighbours warns of users in Belfry's account of an external server who may ask
// JetStream or the service, but may not do everything: by a reply subject they reach
// everything. It asks each server once and knows the permissions of JWTs only, since
// servers report no others. It skips a server that does not answer.
func (s *Server) warnOfNeighbours(nc *nats.Conn) {
	users := map[string]userReach{}
	var self string
	own, err := nc.GetClientID()
	for _, answer := range connections(nc) {
		for _, c := range answer.Data.Conns {
			if err == nil && c.Cid == own && answer.Server.ID == nc.ConnectedServerId() {
				self = c.AuthorizedUser
			}
			users[c.AuthorizedUser] = reach(c.JWT, s.cfg.names())
		}
	}
	delete(users, self) // other nodes and other connections, too
	delete(users, "")   // without user names, every client may do everything
	var limited, unknown []string
	for _, user := range slices.Sorted(maps.Keys(users)) {
		switch users[user] {
		case reachPart:
			limited = append(limited, user)
		case reachUnknown:
			unknown = append(unknown, user)
		}
	}
	if len(limited) > 0 {
		s.log.Warn("users in Belfry's account may send requests of JetStream or of the service but not everything: a reply subject takes them further, so give them an account of their own",
			"users", limited, "see", "docs/cluster.md")
	}
	if len(unknown) > 0 {
		s.log.Warn("users share Belfry's account, and the server does not tell their permissions: those who may send requests of JetStream or of the service reach everything by a reply subject",
			"users", unknown, "see", "docs/cluster.md")
	}
}

// connections asks every server for the connections in Belfry's account.
func connections(nc *nats.Conn) (all []server.ServerAPIConnzResponse) {
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil
	}
	defer sub.Unsubscribe()
	if err := nc.PublishRequest("$SYS.REQ.ACCOUNT.PING.CONNZ", inbox, []byte(`{"auth":true,"limit":10000}`)); err != nil {
		return nil
	}
	for until := time.Now().Add(neighboursWait); ; {
		m, err := sub.NextMsg(time.Until(until))
		if err != nil {
			return all
		}
		var answer server.ServerAPIConnzResponse
		if json.Unmarshal(m.Data, &answer) == nil && answer.Data != nil && answer.Server != nil {
			all = append(all, answer)
		}
	}
}

type userReach int

const (
	reachHarmless userReach = iota // everything, or nothing that is answered elsewhere
	reachPart
	reachUnknown
)

// reach judges the permissions in a user's JWT.
func reach(token string, n wire.Names) userReach {
	claims, err := jwt.DecodeUserClaims(token)
	if err != nil || claims.IssuerAccount != "" && claims.HasEmptyPermissions() { // a signing key may have a template of permissions
		return reachUnknown
	}
	may := claims.Permissions.Pub
	everything := len(may.Deny) == 0 && (len(may.Allow) == 0 || slices.Contains(may.Allow, ">"))
	if everything || !slices.ContainsFunc(answered(n), func(subject string) bool { return mayPublish(may, subject) }) {
		return reachHarmless
	}
	return reachPart
}

// answered are the requests that are answered with the server's rights, or with
// Belfry's: requests to JetStream, acks that ask for the next fire, and the
// library's for the service.
func answered(n wire.Names) []string {
	return []string{wire.JetStreamAPI + ".>", n.InboxAcks(), micro.APIPrefix + ".>"}
}

// mayPublish reports whether some of the subjects may be published to.
func mayPublish(may jwt.Permission, subjects string) bool {
	if len(may.Allow) > 0 && !slices.ContainsFunc(may.Allow, func(allowed string) bool { return server.SubjectsCollide(allowed, subjects) }) {
		return false
	}
	return !slices.ContainsFunc(may.Deny, func(denied string) bool {
		return jwt.Subject(subjects).IsContainedIn(jwt.Subject(denied))
	})
}
