package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"belfry/internal/job"
	"belfry/streams/wire"
)

// Config says how one Belfry process runs. Its zero value works: a zero field
// stands for the default of the flag of the same name, see [flagTable].
type Config struct {
	// Listen is the host:port of the HTTP API. Port 0 takes a free one, an
	// empty host is all interfaces. Anything but loopback needs an admin token,
	// or Insecure. Zero is 127.0.0.1:8080.
	Listen string

	// AdminToken is a bearer token that may do everything, and turns
	// authentication on. It is never logged. Zero is none.
	AdminToken string

	// AuthenticationOff removes every token at the start, and the marks that remember
	// that there was authentication. It excludes an admin token.
	AuthenticationOff bool

	// AdminTokenFile is a file that holds the admin token instead; white space around it
	// does not count. Zero is none.
	AdminTokenFile string

	// TLSCert and TLSKey are PEM files for the HTTP API, read again when they
	// change. Zero is plain HTTP.
	TLSCert string
	TLSKey  string

	// RequestRate is how many requests a second each token, or without one each
	// remote address, may make. Zero is no limit.
	RequestRate int

	// MaxConnections is how many connections the HTTP API has at once. Idle ones
	// give way, and others wait for a while. Zero is 10,000.
	MaxConnections int

	// MaxRequestMemory is roughly how many bytes requests hold together: what they
	// bring, read and answer. Zero is 128 MiB.
	MaxRequestMemory int

	// MaxJobMemory is roughly how many bytes the jobs hold together that are loaded,
	// fired or delivered. Zero is as much as GOMEMLIMIT, or the machine, has room for.
	MaxJobMemory int

	// Data is the folder that holds everything the embedded nats-server
	// stores. It is made if it is missing, and belongs to one process at a
	// time. Zero is ./data.
	Data string

	// ExistingData refuses to make a new store. Zero lets a first start make one.
	ExistingData bool

	// RecreateMissing makes lost streams anew, empty, and keeps the files of those that
	// the embedded server cannot recover. Zero refuses a start without them.
	RecreateMissing bool

	// AcceptDamage is the number of a damage that is not reported again. Zero is none.
	AcceptDamage string

	// NATSConfig is the configuration file of the embedded nats-server.
	// Zero is none: loopback, JetStream, and every write synced to disk.
	NATSConfig string

	// NATSListen is the host:port of the embedded nats-server. Port 0 or -1
	// takes a free one; without a host the one of NATSConfig stays, or
	// 127.0.0.1. Zero is what NATSConfig says, or 127.0.0.1:4222.
	NATSListen string

	// NATSAdmins are users of NATSConfig, by their names (or public nkeys) with commas
	// between them. They are in Belfry's account, where they may do everything. Zero is
	// none: users reach the subjects of their permissions.
	NATSAdmins string

	// NATSURL is an existing NATS server to use, or several servers of one
	// cluster with commas between them, in place of the embedded one, whose
	// fields Data, NATSConfig and NATSListen then mean nothing. It may hold
	// credentials, which are never logged. Zero is the embedded server.
	NATSURL string

	// NATSContext is a context of the nats command, by its name or the absolute path of
	// its file. It replaces NATSURL and the fields below. Zero is none.
	NATSContext string

	// NATSCreds is a file with a JWT and its key, and NATSNKey one with the seed of an
	// nkey: the user that Belfry is at the server of NATSURL. Zero is none.
	NATSCreds string
	NATSNKey  string

	// NATSCert and NATSKey are PEM files of the certificate to show to that server.
	// NATSCA is a PEM file of the authorities that may have signed the server's
	// certificate; without it the system's authorities count. Zero is none.
	NATSCert string
	NATSKey  string
	NATSCA   string

	// NATSTLSFirst begins with TLS before the server says anything, as a server with
	// handshake_first wants it. Zero waits for the server to say whether it has TLS.
	NATSTLSFirst bool

	// AssetPrefix begins the names of everything in JetStream and the subjects,
	// including the NATS service's. Several Belfrys with different ones
	// share an account. Zero is none.
	AssetPrefix string

	// Partitions is how many parts the jobs are spread over, fixed at the
	// first start. Zero is 1 with the embedded server, else 8.
	Partitions int

	// Replicas is the number of copies of each stream. Zero is 3 on a cluster of
	// external servers, else 1. Streams that have fewer get more when they can.
	Replicas int

	// MaxBytes is what all streams may hold together, one copy of each, when a first
	// start makes them. Zero is no bound.
	MaxBytes int64

	// MaxMeta is the largest meta of a job, in bytes. Zero is 512 KiB.
	MaxMeta int

	// HistoryTTL is how long the final state of a job is kept, in whole
	// seconds. Zero is 24 hours.
	HistoryTTL time.Duration

	// FiresMaxAge is how long a fire waits in the stream FIRES for those who
	// have not read it, in whole seconds. Zero is 72 hours.
	FiresMaxAge time.Duration

	// DeadMaxAge is how long the stream DEAD keeps what could not be
	// delivered, in whole seconds. Zero is 720 hours.
	DeadMaxAge time.Duration

	// WebhookDefaultScheme is the scheme, http or https, of a webhook_url
	// that has none. Zero is https.
	WebhookDefaultScheme string

	// WebhookDenyPrivate refuses to connect webhooks to addresses that are not public.
	// Some are always refused. Zero allows private ones.
	WebhookDenyPrivate bool

	// WebhookAllow is CIDR prefixes, with commas between them, that
	// WebhookDenyPrivate leaves open. Zero is none.
	WebhookAllow string

	// AdminListen is the host:port that serves profiles and metrics, on
	// loopback only. Port 0 takes a free one. Zero is nowhere.
	AdminListen string

	// LogLevel is the least level that is logged. Zero is info.
	LogLevel slog.Level

	// LogFormat is text or json. Zero is text.
	LogFormat string

	// Insecure allows listening beyond loopback without authentication.
	Insecure bool

	// Retry says when failed tries are repeated if their route does not say. It has no
	// flag. Zero is [job.DefaultRetry].
	Retry job.RetryPolicy
}

// names are the names of everything in JetStream.
func (c Config) names() wire.Names { return wire.Names(c.AssetPrefix) }

// embedded reports whether the NATS server is the embedded one.
func (c Config) embedded() bool { return c.NATSURL == "" && c.NATSContext == "" }

// withDefaults returns c with its zero fields filled in.
func (c Config) withDefaults() Config {
	for _, s := range flagTable() {
		if s.zero(c) {
			// A default is an accepted value; a test holds the table to it.
			s.set(&c, s.def)
		}
	}
	if c.Retry.IsZero() {
		c.Retry = job.DefaultRetry()
	}
	return c
}

// check refuses a configuration that cannot work, before anything is touched. It looks
// up the host of Listen. c has its defaults.
func (c Config) check(ctx context.Context) error {
	for _, s := range flagTable() {
		if !s.valid(c) {
			return fmt.Errorf("--%s: %s", s.name, s.accepts)
		}
	}
	if c.AdminListen != "" {
		if err := checkLoopback(ctx, c.AdminListen); err != nil {
			return fmt.Errorf("--admin-listen %q: %w; whoever reaches it sees what is in memory: listen on 127.0.0.1", c.AdminListen, err)
		}
	}
	if c.AdminToken != "" && c.AdminTokenFile != "" {
		return errors.New("--admin-token and --admin-token-file exclude each other")
	}
	if c.AuthenticationOff && (c.AdminToken != "" || c.AdminTokenFile != "") {
		return errors.New("--authentication-off and --admin-token or --admin-token-file exclude each other")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key belong together: give both, or neither")
	}
	if c.Insecure || c.AdminToken != "" || c.AdminTokenFile != "" {
		return nil
	}
	if err := checkLoopback(ctx, c.Listen); err != nil {
		return fmt.Errorf("--listen %q: %w; the API has no authentication: listen on 127.0.0.1, set --admin-token-file, or add --insecure to serve everyone who can reach it", c.Listen, err)
	}
	return nil
}

const adminTokenAccepts = "16 to 200 printable ASCII characters without spaces are accepted"

// adminToken returns the admin token, from its file if there is one; empty is none. The
// error quotes no part of it.
func (c Config) adminToken() (string, error) {
	if c.AdminTokenFile == "" {
		return c.AdminToken, nil
	}
	data, err := os.ReadFile(c.AdminTokenFile)
	if err != nil {
		return "", fmt.Errorf("--admin-token-file: couldn't read it: %w", err)
	}
	token := strings.TrimSpace(strings.TrimPrefix(string(data), "\ufeff"))
	if !isAdminToken(token) {
		return "", fmt.Errorf("--admin-token-file %q: what it holds is no token: %s", c.AdminTokenFile, adminTokenAccepts)
	}
	return token, nil
}

func isAdminToken(s string) bool {
	return len(s) >= 16 && len(s) <= 200 && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' })
}
