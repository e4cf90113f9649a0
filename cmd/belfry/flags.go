package main

import (
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"belfry/internal/command"
	"belfry/internal/job"
	"belfry/streams"
)

// setting is one field of [Config] as people set it: by a flag, or else by the
// environment variable of the same name. An empty variable is an unset one.
type setting struct {
	name    string // of the flag, without the dashes
	def     string // the default as one would write it; empty is none
	value   string // stands for the value in the help
	usage   string // says in the help what it is
	accepts string // completes an error about a value
	secret  bool   // the value stays out of errors
	toggle  bool   // the flag alone means true
	list    bool   // the flag may be repeated; its values get commas between them
	common  string // a variable of all NATS tools, used where nothing else speaks

	set   func(*Config, string) bool // false: the value is not accepted
	valid func(Config) bool
	zero  func(Config) bool
}

// env is the name of the setting's own environment variable.
func (s setting) env() string {
	return "BELFRY_" + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// help is the usage, with the variables.
func (s setting) help() string {
	if s.common != "" {
		return s.usage + " [$" + s.env() + ", $" + s.common + "]"
	}
	return s.usage + " [$" + s.env() + "]"
}

// flagTable lists every setting of `belfry serve`. The flags, their help, the
// defaults and the checks are all made from it.
func flagTable() []setting {
	return []setting{
		field(setting{name: "listen", def: "127.0.0.1:8080",
			value:   "HOST:PORT",
			usage:   "where the HTTP API listens; port 0 takes a free one",
			accepts: "host:port with a port from 0 to 65535 is accepted, as in 127.0.0.1:8080",
		}, func(c *Config) *string { return &c.Listen }, text, hostPort(0)),
		field(setting{name: "admin-token", secret: true,
			value:   "TOKEN",
			usage:   "a bearer token that may do everything, to begin with; turns authentication on. The file or the variable keep it out of lists of processes",
			accepts: adminTokenAccepts,
		}, func(c *Config) *string { return &c.AdminToken }, text, orEmpty(isAdminToken)),
		field(setting{name: "admin-token-file",
			value:   "FILE",
			usage:   "a file with that token",
			accepts: "the path of a file is accepted, as in /run/secrets/belfry",
		}, func(c *Config) *string { return &c.AdminTokenFile }, text, func(string) bool { return true }),
		field(setting{name: "tls-cert",
			value:   "FILE",
			usage:   "the certificate of the HTTP API, in PEM with its intermediates; read again when it changes",
			accepts: "the path of a PEM file is accepted, as in tls.crt",
		}, func(c *Config) *string { return &c.TLSCert }, text, func(string) bool { return true }),
		field(setting{name: "tls-key",
			value:   "FILE",
			usage:   "the private key of --tls-cert, in PEM",
			accepts: "the path of a PEM file is accepted, as in tls.key",
		}, func(c *Config) *string { return &c.TLSKey }, text, func(string) bool { return true }),
		field(setting{name: "request-rate", def: "0",
			value:   "NUMBER",
			usage:   "how many requests a second each token, or without one each remote address, may make; 0 is no limit",
			accepts: "0 to 1000000 is accepted",
		}, func(c *Config) *int { return &c.RequestRate }, number, between(0, 1_000_000)),
		field(setting{name: "max-connections", def: "10000",
			value:   "NUMBER",
			usage:   "how many connections the HTTP API has at once; others wait",
			accepts: "1 to 1000000 is accepted",
		}, func(c *Config) *int { return &c.MaxConnections }, number, between(1, 1_000_000)),
		field(setting{name: "data", def: "./data",
			value:   "FOLDER",
			usage:   "where the embedded nats-server keeps its data; made if it is missing",
			accepts: "the path of a folder is accepted, as in ./data",
		}, func(c *Config) *string { return &c.Data }, text, func(s string) bool { return s != "" }),
		field(setting{name: "nats-config",
			value:   "FILE",
			usage:   "the configuration of the embedded nats-server",
			accepts: "the path of a nats-server configuration file is accepted, as in nats.conf",
		}, func(c *Config) *string { return &c.NATSConfig }, text, func(string) bool { return true }),
		field(setting{name: "nats-listen",
			value:   "HOST:PORT",
			usage:   "where the embedded nats-server listens; port 0 or -1 takes a free one; without it what --nats-config says, or 127.0.0.1:4222",
			accepts: "host:port with a port from -1 to 65535 is accepted, as in 127.0.0.1:4222",
		}, func(c *Config) *string { return &c.NATSListen }, text, orEmpty(hostPort(-1))),
		field(setting{name: "nats-url", secret: true, common: "NATS_URL",
			value:   "URL",
			usage:   "an existing NATS server to use instead of the embedded one",
			accepts: "URLs with the scheme nats, tls, ws or wss and a host are accepted, with commas between them, as in nats://127.0.0.1:4222",
		}, func(c *Config) *string { return &c.NATSURL }, text, orEmpty(natsURLs)),
		field(setting{name: "context", common: "NATS_CONTEXT",
			value:   "NAME",
			usage:   "the context of the nats command that says which NATS server to use instead of the embedded one, and how, or the absolute path of its file",
			accepts: "the name of a context is accepted, as nats context ls shows it, or the absolute path of its file",
		}, func(c *Config) *string { return &c.NATSContext }, text, func(string) bool { return true }),
		field(setting{name: "creds", common: "NATS_CREDS",
			value:   "FILE",
			usage:   "the credentials for the server of --nats-url, a JWT and its key, read again for each connection",
			accepts: "the path of a file is accepted, as in belfry.creds",
		}, func(c *Config) *string { return &c.NATSCreds }, text, func(string) bool { return true }),
		field(setting{name: "nkey", common: "NATS_NKEY",
			value:   "FILE",
			usage:   "the seed of the nkey to show to the server of --nats-url",
			accepts: "the path of a file is accepted, as in belfry.nk",
		}, func(c *Config) *string { return &c.NATSNKey }, text, func(string) bool { return true }),
		field(setting{name: "tlscert", common: "NATS_CERT",
			value:   "FILE",
			usage:   "the certificate to show to the server of --nats-url, in PEM (that of the HTTP API is --tls-cert)",
			accepts: "the path of a PEM file is accepted, as in client.crt",
		}, func(c *Config) *string { return &c.NATSCert }, text, func(string) bool { return true }),
		field(setting{name: "tlskey", common: "NATS_KEY",
			value:   "FILE",
			usage:   "the private key of --tlscert, in PEM",
			accepts: "the path of a PEM file is accepted, as in client.key",
		}, func(c *Config) *string { return &c.NATSKey }, text, func(string) bool { return true }),
		field(setting{name: "tlsca", common: "NATS_CA",
			value:   "FILE",
			usage:   "the certificates that the server of --nats-url is trusted by, in PEM, in place of those of the system",
			accepts: "the path of a PEM file is accepted, as in ca.crt",
		}, func(c *Config) *string { return &c.NATSCA }, text, func(string) bool { return true }),
		field(setting{name: "tlsfirst", def: "false", toggle: true,
			usage:   "begin with TLS before the server of --nats-url says anything, as its handshake_first wants it",
			accepts: "true and false are accepted",
		}, func(c *Config) *bool { return &c.NATSTLSFirst }, boolean, func(bool) bool { return true }),
		field(setting{name: "partitions", def: "0",
			value:   "NUMBER",
			usage:   "how many parts the jobs are spread over, fixed at the first start; 0 is 1 embedded, and 8 on another NATS server",
			accepts: "0 to 50 is accepted",
		}, func(c *Config) *int { return &c.Partitions }, number, between(0, streams.MaxPartitions)),
		field(setting{name: "replicas", def: "0",
			value:   "NUMBER",
			usage:   "how many copies are made of each stream; 0 is 3 on a NATS cluster of three or more, else 1",
			accepts: "0, 1, 3 and 5 are accepted",
		}, func(c *Config) *int { return &c.Replicas }, number, oneOf(0, 1, 3, 5)),
		field(setting{name: "max-meta", def: "512KiB",
			value:   "SIZE",
			usage:   "the largest meta of a job, in bytes, KiB or MiB",
			accepts: "1 byte to 7MiB is accepted, as in 512KiB, 1MiB or 524288",
		}, func(c *Config) *int { return &c.MaxMeta }, parseSize, between(1, 7<<20)),
		field(setting{name: "history-ttl", def: "24h",
			value:   "DURATION",
			usage:   "how long the final state of a job is kept",
			accepts: "whole seconds from 1s on are accepted, as in 24h or 90m",
		}, func(c *Config) *time.Duration { return &c.HistoryTTL }, duration, wholeSeconds(time.Second)),
		field(setting{name: "fires-max-age", def: "72h",
			value: "DURATION",
			usage: "how long a fire waits for a reader",
			// At half of it a claim is made anew, which must be well after
			// the slowest try that a route can ask for.
			accepts: "whole seconds from 15m on are accepted, as in 72h or 90m",
		}, func(c *Config) *time.Duration { return &c.FiresMaxAge }, duration, wholeSeconds(3*job.MaxTimeout)),
		field(setting{name: "dead-max-age", def: "720h",
			value:   "DURATION",
			usage:   "how long a dead letter is kept",
			accepts: "whole seconds from 1s on are accepted, as in 720h or 90m",
		}, func(c *Config) *time.Duration { return &c.DeadMaxAge }, duration, wholeSeconds(time.Second)),
		field(setting{name: "webhook-default-scheme", def: "https",
			value:   "SCHEME",
			usage:   "how a webhook_url without a scheme is called: https or http",
			accepts: "https and http are accepted",
		}, func(c *Config) *string { return &c.WebhookDefaultScheme }, text, oneOf("https", "http")),
		field(setting{name: "webhook-deny-private", def: "false", toggle: true,
			usage:   "refuse webhooks to addresses that are not public; those of metadata services and other link-local ones are refused always",
			accepts: "true and false are accepted",
		}, func(c *Config) *bool { return &c.WebhookDenyPrivate }, boolean, func(bool) bool { return true }),
		field(setting{name: "webhook-allow", list: true,
			value:   "CIDR",
			usage:   "addresses that --webhook-deny-private leaves open; may be repeated",
			accepts: "prefixes of addresses are accepted, with commas between them, as in 10.1.0.0/16",
		}, func(c *Config) *string { return &c.WebhookAllow }, text, func(s string) bool { _, ok := prefixes(s); return ok }),
		field(setting{name: "admin-listen",
			value:   "HOST:PORT",
			usage:   "where /debug/pprof and /metrics are served for administrators, on loopback only; port 0 takes a free one",
			accepts: "host:port with a port from 0 to 65535 is accepted, as in 127.0.0.1:6060",
		}, func(c *Config) *string { return &c.AdminListen }, text, orEmpty(hostPort(0))),
		field(setting{name: "log-level", def: "info",
			value:   "LEVEL",
			usage:   "what is logged at least: debug, info, warn or error",
			accepts: "debug, info, warn and error are accepted",
		}, func(c *Config) *slog.Level { return &c.LogLevel }, level, func(slog.Level) bool { return true }),
		field(setting{name: "log-format", def: "text",
			value:   "FORMAT",
			usage:   "how the log on standard error is written: text or json",
			accepts: "text and json are accepted",
		}, func(c *Config) *string { return &c.LogFormat }, text, oneOf("text", "json")),
		field(setting{name: "insecure", def: "false", toggle: true,
			usage:   "allow listening beyond loopback though there is no authentication",
			accepts: "true and false are accepted",
		}, func(c *Config) *bool { return &c.Insecure }, boolean, func(bool) bool { return true }),
	}
}

// field ties a setting to its place in [Config]: parse reads a value as people
// write it, valid judges it however it came.
func field[T comparable](s setting, at func(*Config) *T, parse func(string) (T, bool), valid func(T) bool) setting {
	s.set = func(c *Config, text string) bool {
		v, ok := parse(text)
		if !ok || !valid(v) {
			return false
		}
		*at(c) = v
		return true
	}
	s.valid = func(c Config) bool { return valid(*at(&c)) }
	s.zero = func(c Config) bool { var zero T; return *at(&c) == zero }
	return s
}

// serveFlags makes the command line's flags. Their values stay text until
// [configFrom] reads them, so that each error speaks of the flag or the
// variable it came from.
func serveFlags() []cli.Flag {
	var flags []cli.Flag
	for _, s := range flagTable() {
		if s.list {
			flags = append(flags, list{StringSliceFlag: &cli.StringSliceFlag{Name: s.name, Usage: s.help()}, Placeholder: s.value})
			continue
		}
		f := flag{StringFlag: &cli.StringFlag{Name: s.name, Value: s.def, Usage: s.help()}, Placeholder: s.value}
		if s.toggle {
			flags = append(flags, toggle{f})
		} else {
			flags = append(flags, f)
		}
	}
	return flags
}

// configFrom reads the settings: a flag beats the environment, which beats the
// default. Those that do not go together are errors, see [givenSettings.check].
func configFrom(cmd *cli.Command, getenv func(string) string) (Config, error) {
	var c Config
	given := givenSettings{}
	silent := silenced(cmd, getenv)
	for _, s := range flagTable() {
		from, value := "", s.def
		if v := getenv(s.common); s.common != "" && v != "" && !silent[s.name] {
			from, value = s.common, v
		}
		if v := getenv(s.env()); v != "" {
			from, value = s.env(), v
		}
		if cmd.IsSet(s.name) {
			from, value = "--"+s.name, cmd.String(s.name)
			if s.list {
				value = strings.Join(cmd.StringSlice(s.name), ",")
			}
		}
		if s.set(&c, value) {
			if value != "" {
				given[s.name] = from
			}
			continue
		}
		if s.secret {
			return Config{}, fmt.Errorf("%s: %s", from, s.accepts)
		}
		return Config{}, fmt.Errorf("%s %q: %s", from, value, s.accepts)
	}
	if err := given.check(c); err != nil {
		return Config{}, err
	}
	return c, nil
}

// flag and list show in the help what stands for their values.
type (
	flag = command.Flag
	list = command.List
)

// toggle is a flag that may stand alone, meaning true.
type toggle struct{ flag }

func (toggle) IsBoolFlag() bool { return true }
func (toggle) TakesValue() bool { return false }
func (t toggle) String() string { return cli.FlagStringer(t) }

func text(s string) (string, bool) { return s, true }

func duration(s string) (time.Duration, bool) {
	d, err := time.ParseDuration(s)
	return d, err == nil
}

func boolean(s string) (bool, bool) {
	b, err := strconv.ParseBool(s)
	return b, err == nil
}

func level(s string) (slog.Level, bool) {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo,
		"warn": slog.LevelWarn, "error": slog.LevelError,
	}
	l, ok := levels[s]
	return l, ok
}

// parseSize reads a number of bytes, or of KiB or MiB.
func parseSize(s string) (int, bool) {
	unit := int64(1)
	if digits, ok := strings.CutSuffix(s, "KiB"); ok {
		s, unit = digits, 1<<10
	} else if digits, ok := strings.CutSuffix(s, "MiB"); ok {
		s, unit = digits, 1<<20
	}
	n, err := strconv.ParseInt(s, 10, 32) // no unit takes it over an int64
	n *= unit
	return int(n), err == nil && n <= math.MaxInt32
}

func number(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil
}

func wholeSeconds(least time.Duration) func(time.Duration) bool {
	return func(d time.Duration) bool { return d >= least && d%time.Second == 0 }
}

func between(least, most int) func(int) bool {
	return func(n int) bool { return least <= n && n <= most }
}

func oneOf[T comparable](accepted ...T) func(T) bool {
	return func(v T) bool { return slices.Contains(accepted, v) }
}

func orEmpty(valid func(string) bool) func(string) bool {
	return func(s string) bool { return s == "" || valid(s) }
}

func hostPort(leastPort int) func(string) bool {
	return func(s string) bool {
		_, port, err := net.SplitHostPort(s)
		if err != nil {
			return false
		}
		n, err := strconv.Atoi(port)
		return err == nil && leastPort <= n && n <= 65535
	}
}

// prefixes reads CIDR prefixes with commas between them.
func prefixes(s string) ([]netip.Prefix, bool) {
	if s == "" {
		return nil, true
	}
	var all []netip.Prefix
	for one := range strings.SplitSeq(s, ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(one))
		if err != nil || p.Addr().Is4In6() { // addresses are judged as IPv4 where they can
			return nil, false
		}
		all = append(all, p)
	}
	return all, true
}

func natsURLs(list string) bool {
	for one := range strings.SplitSeq(list, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil || u.Hostname() == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			return false
		}
	}
	return true
}
