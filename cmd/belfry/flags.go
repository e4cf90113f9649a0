package main

import (
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
)

// setting is one field of [Config] as people set it: by a flag, or else by the
// environment variable of the same name. An empty variable is an unset one.
type setting struct {
	name    string // of the flag, without the dashes
	def     string // the default as one would write it; empty is none
	usage   string // a sentence for the help
	accepts string // completes an error about a value
	secret  bool   // the value stays out of errors
	toggle  bool   // the flag alone means true

	set   func(*Config, string) bool // false: the value is not accepted
	valid func(Config) bool
	zero  func(Config) bool
}

// env is the name of the setting's environment variable.
func (s setting) env() string {
	return "BELFRY_" + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// flagTable lists every setting of `belfry serve`. The flags, their help, the
// defaults and the checks are all made from it.
func flagTable() []setting {
	return []setting{
		field(setting{name: "listen", def: "127.0.0.1:8080",
			usage:   "`HOST:PORT` of the HTTP API; port 0 takes a free one",
			accepts: "host:port with a port from 0 to 65535 is accepted, as in 127.0.0.1:8080",
		}, func(c *Config) *string { return &c.Listen }, text, hostPort(0)),
		field(setting{name: "data", def: "./data",
			usage:   "`FOLDER` of the embedded server's data, made if it is missing",
			accepts: "the path of a folder is accepted, as in ./data",
		}, func(c *Config) *string { return &c.Data }, text, func(s string) bool { return s != "" }),
		field(setting{name: "nats-config",
			usage:   "configuration `FILE` of the embedded nats-server",
			accepts: "the path of a nats-server configuration file is accepted, as in nats.conf",
		}, func(c *Config) *string { return &c.NATSConfig }, text, func(string) bool { return true }),
		field(setting{name: "nats-listen",
			usage:   "`HOST:PORT` of the embedded nats-server; port 0 or -1 takes a free one; without it what --nats-config says, or 127.0.0.1:4222",
			accepts: "host:port with a port from -1 to 65535 is accepted, as in 127.0.0.1:4222",
		}, func(c *Config) *string { return &c.NATSListen }, text, orEmpty(hostPort(-1))),
		field(setting{name: "nats-url", secret: true,
			usage:   "`URL` of an existing NATS server to use instead of the embedded one",
			accepts: "URLs with the scheme nats, tls, ws or wss and a host are accepted, with commas between them, as in nats://127.0.0.1:4222",
		}, func(c *Config) *string { return &c.NATSURL }, text, orEmpty(natsURLs)),
		field(setting{name: "max-meta", def: "512KiB",
			usage:   "the largest meta of a job, as a `SIZE` like 512KiB or in bytes",
			accepts: "1 byte to 7MiB is accepted, as in 512KiB, 1MiB or 524288",
		}, func(c *Config) *int { return &c.MaxMeta }, parseSize, between(1, 7<<20)),
		field(setting{name: "history-ttl", def: "24h",
			usage:   "how long the final state of a job is kept, a `DURATION`",
			accepts: "whole seconds from 1s on are accepted, as in 24h or 90m",
		}, func(c *Config) *time.Duration { return &c.HistoryTTL }, duration, wholeSeconds(time.Second)),
		field(setting{name: "fires-max-age", def: "72h",
			usage: "how long a fire waits for a reader, a `DURATION`",
			// At half of it a claim is made anew, which must be well after
			// the slowest try.
			accepts: "whole seconds from 2m on are accepted, as in 72h or 90m",
		}, func(c *Config) *time.Duration { return &c.FiresMaxAge }, duration, wholeSeconds(2*time.Minute)),
		field(setting{name: "dead-max-age", def: "720h",
			usage:   "how long a dead letter is kept, a `DURATION`",
			accepts: "whole seconds from 1s on are accepted, as in 720h or 90m",
		}, func(c *Config) *time.Duration { return &c.DeadMaxAge }, duration, wholeSeconds(time.Second)),
		field(setting{name: "webhook-default-scheme", def: "https",
			usage:   "`SCHEME` of a webhook_url that has none: https or http",
			accepts: "https and http are accepted",
		}, func(c *Config) *string { return &c.WebhookDefaultScheme }, text, oneOf("https", "http")),
		field(setting{name: "log-level", def: "info",
			usage:   "the least `LEVEL` that is logged: debug, info, warn or error",
			accepts: "debug, info, warn and error are accepted",
		}, func(c *Config) *slog.Level { return &c.LogLevel }, level, func(slog.Level) bool { return true }),
		field(setting{name: "log-format", def: "text",
			usage:   "`FORMAT` of the log on standard error: text or json",
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
		f := &cli.StringFlag{Name: s.name, Value: s.def, Usage: s.usage + " [$" + s.env() + "]"}
		if s.toggle {
			flags = append(flags, toggle{f})
		} else {
			flags = append(flags, f)
		}
	}
	return flags
}

// configFrom reads the settings: a flag beats the environment, which beats the
// default.
func configFrom(cmd *cli.Command, getenv func(string) string) (Config, error) {
	var c Config
	for _, s := range flagTable() {
		from, value := "", s.def
		if v := getenv(s.env()); v != "" {
			from, value = s.env(), v
		}
		if cmd.IsSet(s.name) {
			from, value = "--"+s.name, cmd.String(s.name)
		}
		if s.set(&c, value) {
			continue
		}
		if s.secret {
			return Config{}, fmt.Errorf("%s: %s", from, s.accepts)
		}
		return Config{}, fmt.Errorf("%s %q: %s", from, value, s.accepts)
	}
	return c, nil
}

// toggle is a flag that may stand alone, meaning true.
type toggle struct{ *cli.StringFlag }

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

func wholeSeconds(least time.Duration) func(time.Duration) bool {
	return func(d time.Duration) bool { return d >= least && d%time.Second == 0 }
}

func between(least, most int) func(int) bool {
	return func(n int) bool { return least <= n && n <= most }
}

func oneOf(accepted ...string) func(string) bool {
	return func(s string) bool { return slices.Contains(accepted, s) }
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

func natsURLs(list string) bool {
	for one := range strings.SplitSeq(list, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil || u.Hostname() == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			return false
		}
	}
	return true
}
