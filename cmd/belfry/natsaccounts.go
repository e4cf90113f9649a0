package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/micro"

	"belfry/api/service"
	"belfry/streams/wire"
)

// An embedded server with users has two accounts. A permission narrows which subjects a
// client publishes to, and says nothing about the reply subject of a request: the server
// answers there with its own rights. Only an account bounds replies. So Belfry, its
// streams and its connections are alone in the account where JetStream keeps the data,
// and every user is in another one, which has no JetStream and imports the requests of
// subscribers and service callers.
const (
	dataAccount  = "$G"    // the server's account for clients without one; data written without users is also there
	usersAccount = "USERS" // every user of --nats-config but the admins
)

// maxPullWait is the longest pull of a subscriber in the other account. Most NATS
// clients wait 30 s by themselves.
const maxPullWait = 2 * time.Minute

// replyThreshold is how long the server keeps the way back to a requester from
// the other account since it was used last. A pull that waits longer would lose
// its fires until they are redelivered, so consumers refuse longer pulls.
const replyThreshold = maxPullWait + 30*time.Second

// requestThreshold is the same for requests with one answer, which comes in seconds or,
// as for most acks, never.
const requestThreshold = 30 * time.Second

// separateUsers moves every user of the configuration except the admins into an account
// of its own. Without users it changes nothing: then clients do not say who they are, or
// one password is for everything.
func separateUsers(opts *server.Options, admins []string, n wire.Names) error {
	if len(opts.Users) == 0 && len(opts.Nkeys) == 0 {
		if len(admins) > 0 {
			return fmt.Errorf("--nats-admin %q: --nats-config has no users", strings.Join(admins, ","))
		}
		return nil
	}
	if err := checkLeafNodes(opts.LeafNode); err != nil {
		return err
	}
	data, users := server.NewAccount(dataAccount), server.NewAccount(usersAccount)
	var errs []error
	missing := slices.Clone(admins)
	place := func(name string, may *server.Permissions, types map[string]struct{}) (*server.Account, *server.Permissions, map[string]struct{}) {
		if i := slices.Index(missing, name); i >= 0 {
			missing = slices.Delete(missing, i, i+1)
			if may != nil {
				errs = append(errs, fmt.Errorf("--nats-admin %q: the user has permissions, and a reply subject reaches beyond them: an admin may do everything, so leave them out", name))
			}
			return data, may, types
		}
		errs = append(errs, checkUser(name, may, types, n))
		if opts.MQTT.Port != 0 {
			may = withoutJetStream(may)
		}
		return users, may, clientTypes(types)
	}
	for _, u := range opts.Users {
		u.Account, u.Permissions, u.AllowedConnectionTypes = place(u.Username, u.Permissions, u.AllowedConnectionTypes)
	}
	for _, u := range opts.Nkeys {
		u.Account, u.Permissions, u.AllowedConnectionTypes = place(u.Nkey, u.Permissions, u.AllowedConnectionTypes)
	}
	for _, name := range missing {
		errs = append(errs, fmt.Errorf("--nats-admin %q: --nats-config has no such user", name))
	}
	opts.Accounts = []*server.Account{data, users}
	return errors.Join(append(errs, share(data, users, n))...)
}

// share lets the users' account send the requests of subscribers and service callers to
// the data's account. The answer to a pull is any number of fires, and the users' own
// services may answer $SRV, too.
func share(data, users *server.Account, n wire.Names) error {
	for _, shared := range []struct {
		from, to string
		answers  server.ServiceRespType
	}{
		{n.SubscriberAPI() + n.InboxInfo(), wire.JetStreamAPI + n.InboxInfo(), server.Singleton},
		{n.SubscriberAPI() + n.InboxNext(), wire.JetStreamAPI + n.InboxNext(), server.Streamed},
		{n.InboxAcks(), n.InboxAcks(), server.Singleton}, // each fire says where its ack goes
		{n.Subject(service.Subjects), n.Subject(service.Subjects), server.Singleton},
		{micro.APIPrefix + ".>", micro.APIPrefix + ".>", server.Streamed},
	} {
		err := data.AddServiceExportWithResponse(shared.to, shared.answers, []*server.Account{users})
		if err == nil {
			err = users.AddServiceImport(data, shared.from, shared.to)
		}
		if err == nil {
			threshold := requestThreshold
			if shared.answers == server.Streamed {
				threshold = replyThreshold
			}
			err = data.SetServiceExportResponseThreshold(shared.to, threshold)
		}
		if err != nil {
			return fmt.Errorf("couldn't share %s with the account of the users: %w", shared.to, err)
		}
	}
	return nil
}

// checkLeafNodes refuses leaf nodes in the account of the users: the server lets
// them name reply subjects that it refuses to clients.
func checkLeafNodes(leaf server.LeafNodeOpts) error {
	if leaf.Port != 0 && leaf.Username == "" && leaf.Nkey == "" && len(leaf.Users) == 0 {
		return errors.New("--nats-config: users are for clients: leafnodes needs an authorization block of its own")
	}
	named := leaf.Account != ""
	for _, u := range leaf.Users {
		named = named || u.Account != nil
	}
	for _, r := range leaf.Remotes {
		named = named || r.LocalAccount != ""
	}
	if named {
		return errors.New("--nats-config: leaf nodes are in Belfry's account, where they may do everything: leave account out of leafnodes")
	}
	return nil
}

// checkUser refuses settings that would change their meaning.
func checkUser(name string, may *server.Permissions, types map[string]struct{}, n wire.Names) error {
	_, leaf := types[jwt.ConnectionTypeLeafnode]
	_, leafWS := types[jwt.ConnectionTypeLeafnodeWS]
	if leaf || leafWS {
		return fmt.Errorf("--nats-config: user %q: allowed_connection_types may not have LEAFNODE: leaf nodes need an authorization block in leafnodes", name)
	}
	if may == nil {
		return nil
	}
	var errs []error
	for _, p := range []*server.SubjectPermission{may.Publish, may.Subscribe} {
		if p == nil {
			continue
		}
		for _, subject := range slices.Concat(p.Allow, p.Deny) {
			errs = append(errs, checkPermission(name, subject, n))
		}
	}
	return errors.Join(errs...)
}

// checkPermission refuses a subject of the JetStream API, which the account of
// the users does not have: the user could do less, or with a denial more, than
// before there were two accounts.
func checkPermission(name, subject string, n wire.Names) error {
	if subject == ">" || !server.SubjectsCollide(subject, wire.JetStreamAPI+".>") {
		return nil
	}
	instead := "leave it out"
	for _, tail := range []string{n.InboxInfo(), n.InboxNext()} {
		if rest, ok := strings.CutPrefix(subject, wire.JetStreamAPI); ok && server.SubjectsCollide(subject, wire.JetStreamAPI+tail) {
			instead = fmt.Sprintf("write %q", n.SubscriberAPI()+rest)
		}
	}
	if subject == "$JS.>" {
		instead = fmt.Sprintf("write %q and %q", n.InboxAcks(), n.SubscriberAPI()+".>")
	}
	return fmt.Errorf("--nats-config: user %q: the permission %q is of the JetStream API, which users do not reach: %s (docs/operations.md, \"Upgrade\")", name, subject, instead)
}

// withoutJetStream returns the permissions without the JetStream API, which is
// MQTT's alone in the account of the users: a consumer there would send any
// subject a message whose reply subject acks a fire of Belfry's account.
func withoutJetStream(may *server.Permissions) *server.Permissions {
	narrow := server.Permissions{}
	if may != nil {
		narrow = *may
	}
	publish := server.SubjectPermission{}
	if narrow.Publish != nil {
		publish = *narrow.Publish
	}
	publish.Deny = slices.Concat(publish.Deny, []string{wire.JetStreamAPI + ".>"})
	narrow.Publish = &publish
	return &narrow
}

// clientTypes are the connections that a user of the clients may make. A leaf
// node is none, see [checkLeafNodes].
func clientTypes(types map[string]struct{}) map[string]struct{} {
	if types != nil {
		return types
	}
	return map[string]struct{}{
		jwt.ConnectionTypeStandard: {}, jwt.ConnectionTypeWebsocket: {}, jwt.ConnectionTypeMqtt: {}, jwt.ConnectionTypeMqttWS: {},
	}
}
