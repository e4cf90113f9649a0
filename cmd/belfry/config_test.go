package main

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v3"

	"belfry/internal/command"
	"belfry/internal/job"
)

// parse reads a configuration as `belfry serve` would.
func parse(env map[string]string, args ...string) (Config, error) {
	var c Config
	getenv := func(name string) string { return env[name] }
	cmd := newCommand(command.Env{Getenv: getenv, Stdout: io.Discard, Stderr: io.Discard})
	cmd.Command("serve").Action = func(_ context.Context, cmd *cli.Command) (err error) {
		c, err = configFrom(cmd, getenv)
		return err
	}
	return c, cmd.Run(context.Background(), append([]string{"belfry", "serve"}, args...))
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	want := Config{
		Listen:               "127.0.0.1:8080",
		MaxConnections:       10_000,
		MaxRequestMemory:     128 << 20,
		Data:                 "./data",
		MaxMeta:              512 * 1024,
		HistoryTTL:           24 * time.Hour,
		FiresMaxAge:          72 * time.Hour,
		DeadMaxAge:           720 * time.Hour,
		WebhookDefaultScheme: "https",
		LogLevel:             slog.LevelInfo,
		LogFormat:            "text",
	}
	got, err := parse(nil)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("belfry serve: error %v, configuration (-want +got):\n%s", err, diff)
	}
	want.Retry = job.DefaultRetry()
	if diff := cmp.Diff(want, Config{}.withDefaults()); diff != "" {
		t.Errorf("Config{}.withDefaults() (-want +got):\n%s", diff)
	}
}

func TestFlagTable(t *testing.T) {
	t.Parallel()
	// Two values for each flag: one for the environment, one for the flag.
	rows := []struct {
		flag     string
		env, arg string
		get      func(Config) any
		fromEnv  any
		fromArg  any
		bad      []string
	}{
		{"listen", "127.0.0.1:1", "[::1]:0", func(c Config) any { return c.Listen }, "127.0.0.1:1", "[::1]:0",
			[]string{"", "8080", "127.0.0.1", "127.0.0.1:-1", "127.0.0.1:65536", "127.0.0.1:http", "::1:80"}},
		{"admin-token", "0123456789abcdef", "fedcba9876543210", func(c Config) any { return c.AdminToken }, "0123456789abcdef", "fedcba9876543210",
			[]string{"hunter2", "hunter2 with a space", "hunter2-hunter2-hünter2", strings.Repeat("hunter2", 30)}},
		{"admin-token-file", "a", "b", func(c Config) any { return c.AdminTokenFile }, "a", "b", nil},
		{"tls-cert", "a.crt", "b.crt", func(c Config) any { return c.TLSCert }, "a.crt", "b.crt", nil},
		{"tls-key", "a.key", "b.key", func(c Config) any { return c.TLSKey }, "a.key", "b.key", nil},
		{"request-rate", "1", "1000000", func(c Config) any { return c.RequestRate }, 1, 1_000_000, []string{"", "-1", "1000001", "0.5"}},
		{"max-connections", "1", "1000000", func(c Config) any { return c.MaxConnections }, 1, 1_000_000, []string{"", "0", "-1", "1000001"}},
		{"max-request-memory", "64MiB", "2047MiB", func(c Config) any { return c.MaxRequestMemory }, 64 << 20, 2047 << 20,
			[]string{"", "0", "-1", "63MiB", "67108863", "2048MiB", "1GiB"}},
		{"max-job-memory", "16MiB", "auto", func(c Config) any { return c.MaxJobMemory }, 16 << 20, 0,
			[]string{"", "0", "-1", "15MiB", "2048MiB", "half"}},
		{"data", "/a", "/b", func(c Config) any { return c.Data }, "/a", "/b", []string{""}},
		{"existing-data", "true", "false", func(c Config) any { return c.ExistingData }, true, false, []string{"maybe", "2"}},
		{"recreate-missing", "true", "false", func(c Config) any { return c.RecreateMissing }, true, false, []string{"maybe", "2"}},
		{"accept-damage", "3f09ac1e", "00000000", func(c Config) any { return c.AcceptDamage }, "3f09ac1e", "00000000",
			[]string{"1", "3f09ac1", "3f09ac1e0", "3f09ac1g", "all"}},
		{"nats-config", "a.conf", "b.conf", func(c Config) any { return c.NATSConfig }, "a.conf", "b.conf", nil},
		{"nats-listen", ":-1", ":0", func(c Config) any { return c.NATSListen }, ":-1", ":0",
			[]string{"4222", "127.0.0.1", ":-2", ":65536", ":nats"}},
		{"nats-admin", "ops", "a,b", func(c Config) any { return c.NATSAdmins }, "ops", "a,b",
			[]string{"a,,b", ","}},
		{"nats-url", "nats://a", "tls://b:1,tls://c:2", func(c Config) any { return c.NATSURL }, "nats://a", "tls://b:1,tls://c:2",
			[]string{"hunter2", "http://u:hunter2@h", "nats://", "nats://u:hunter2@", "nats://u:hunter2@h:x", "nats://h,"}},
		{"context", "a", "/b.json", func(c Config) any { return c.NATSContext }, "a", "/b.json", nil},
		{"creds", "a", "b", func(c Config) any { return c.NATSCreds }, "a", "b", nil},
		{"nkey", "a", "b", func(c Config) any { return c.NATSNKey }, "a", "b", nil},
		{"tlscert", "a", "b", func(c Config) any { return c.NATSCert }, "a", "b", nil},
		{"tlskey", "a", "b", func(c Config) any { return c.NATSKey }, "a", "b", nil},
		{"tlsca", "a", "b", func(c Config) any { return c.NATSCA }, "a", "b", nil},
		{"tlsfirst", "true", "false", func(c Config) any { return c.NATSTLSFirst }, true, false, []string{"maybe", "2"}},
		{"asset-prefix", "team1", "A-b_C", func(c Config) any { return c.AssetPrefix }, "team1", "A-b_C",
			[]string{"a.b", "a b", "_a", "-a", "$JS", "é", "fires", "KV_a", strings.Repeat("x", 33)}},
		{"partitions", "8", "50", func(c Config) any { return c.Partitions }, 8, 50, []string{"", "-1", "51", "1.5", "many"}},
		{"replicas", "3", "5", func(c Config) any { return c.Replicas }, 3, 5, []string{"", "-1", "2", "4", "6"}},
		{"max-bytes", "256MiB", "10GiB", func(c Config) any { return c.MaxBytes }, int64(256 << 20), int64(10 << 30),
			[]string{"", "-1", "1", "255MiB", "1025TiB", "10GB", "99999999999TiB", "99999999999999999999"}},
		{"max-meta", "1MiB", "1024", func(c Config) any { return c.MaxMeta }, 1 << 20, 1024,
			[]string{"", "0", "-1", "512kb", "KiB", "1.5MiB", "8MiB", "7340033", "2147483647MiB", "99999999999999999999"}},
		{"history-ttl", "1m", "90m", func(c Config) any { return c.HistoryTTL }, time.Minute, 90 * time.Minute,
			[]string{"", "0", "59s", "60500ms", "-1h", "24", "1d"}},
		{"fires-max-age", "1h", "2h", func(c Config) any { return c.FiresMaxAge }, time.Hour, 2 * time.Hour,
			[]string{"899s", "", "0", "500ms", "1500ms", "-1h", "24", "1d"}},
		{"dead-max-age", "1h", "2h", func(c Config) any { return c.DeadMaxAge }, time.Hour, 2 * time.Hour,
			[]string{"", "0", "500ms", "1500ms", "-1h", "24", "1d"}},
		{"webhook-default-scheme", "http", "https", func(c Config) any { return c.WebhookDefaultScheme }, "http", "https",
			[]string{"", "ftp", "HTTP", "http://"}},
		{"webhook-deny-private", "true", "false", func(c Config) any { return c.WebhookDenyPrivate }, true, false,
			[]string{"maybe", "2"}},
		{"webhook-allow", "10.0.0.0/8", "10.1.0.0/16,fd00::/8", func(c Config) any { return c.WebhookAllow }, "10.0.0.0/8", "10.1.0.0/16,fd00::/8",
			[]string{"10.0.0.1", "10.0.0.0/33", "::ffff:10.0.0.0/104", "example.org", "10.0.0.0/8,,"}},
		{"admin-listen", "127.0.0.1:1", "[::1]:0", func(c Config) any { return c.AdminListen }, "127.0.0.1:1", "[::1]:0",
			[]string{"6060", "127.0.0.1", "127.0.0.1:-1", "127.0.0.1:65536", "127.0.0.1:pprof"}},
		{"log-level", "debug", "error", func(c Config) any { return c.LogLevel }, slog.LevelDebug, slog.LevelError,
			[]string{"", "trace", "INFO", "0"}},
		{"log-format", "json", "text", func(c Config) any { return c.LogFormat }, "json", "text",
			[]string{"", "xml", "JSON"}},
		{"authentication-off", "true", "false", func(c Config) any { return c.AuthenticationOff }, true, false,
			[]string{"maybe", "2"}},
		{"insecure", "true", "false", func(c Config) any { return c.Insecure }, true, false,
			[]string{"maybe", "2"}},
	}
	// These flags need others.
	with := map[string][]string{
		"creds": {"--nats-url=nats://h"}, "nkey": {"--nats-url=nats://h"}, "tlsca": {"--nats-url=nats://h"}, "tlsfirst": {"--nats-url=nats://h"},
		"tlscert": {"--nats-url=nats://h", "--tlskey=k"}, "tlskey": {"--nats-url=nats://h", "--tlscert=c"},
	}
	var names, tested []string
	for _, s := range flagTable() {
		names = append(names, s.name)
	}
	for _, tc := range rows {
		tested = append(tested, tc.flag)
	}
	if diff := cmp.Diff(names, tested); diff != "" {
		t.Errorf("the flags and the rows of this test differ (-flags +rows):\n%s", diff)
	}
	for _, tc := range rows {
		t.Run(tc.flag, func(t *testing.T) {
			t.Parallel()
			s := settingOf(t, tc.flag)
			empty, err := parse(map[string]string{s.env(): ""})
			if err != nil {
				t.Errorf("%s is empty: %v, want as if unset", s.env(), err)
			}
			unset, err := parse(nil)
			if diff := cmp.Diff(unset, empty); err != nil || diff != "" {
				t.Errorf("%s is empty: (-unset +empty):\n%s", s.env(), diff)
			}
			env := map[string]string{s.env(): tc.env}
			if c, err := parse(env, with[tc.flag]...); err != nil || tc.get(c) != tc.fromEnv {
				t.Errorf("%s=%s: %v, %v, want %v", s.env(), tc.env, tc.get(c), err, tc.fromEnv)
			}
			if c, err := parse(env, append(with[tc.flag], "--"+tc.flag+"="+tc.arg)...); err != nil || tc.get(c) != tc.fromArg {
				t.Errorf("%s=%s --%s=%s: %v, %v, want %v", s.env(), tc.env, tc.flag, tc.arg, tc.get(c), err, tc.fromArg)
			}
			for _, bad := range tc.bad {
				checkRefused(t, s, bad, "--"+tc.flag, nil, "--"+tc.flag+"="+bad)
				if bad != "" {
					checkRefused(t, s, bad, s.env(), map[string]string{s.env(): bad})
				}
			}
		})
	}
	if c, err := parse(nil, "--webhook-allow", "10.0.0.0/8", "--webhook-allow", "fd00::/8"); err != nil || c.WebhookAllow != "10.0.0.0/8,fd00::/8" {
		t.Errorf("--webhook-allow twice: %q, %v, want both", c.WebhookAllow, err)
	}
	if c, err := parse(nil, "--insecure"); err != nil || !c.Insecure {
		t.Errorf("--insecure alone: %v, %v, want true", c.Insecure, err)
	}
	if c, err := parse(nil, "--nats-listen", ":-1", "--data", "x"); err != nil || c.NATSListen != ":-1" || c.Data != "x" {
		t.Errorf("--nats-listen :-1 --data x: %q, %q, %v", c.NATSListen, c.Data, err)
	}
}

func checkRefused(t *testing.T, s setting, value, from string, env map[string]string, args ...string) {
	t.Helper()
	_, err := parse(env, args...)
	if err == nil {
		t.Errorf("%s %q is accepted, want an error", from, value)
		return
	}
	wants := []string{from, s.accepts, `"` + value + `"`}
	if s.secret {
		wants = wants[:2]
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error %q tells a secret", from, err)
		}
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s %q: error %q, want %q in it", from, value, err, want)
		}
	}
}

func settingOf(t *testing.T, flag string) setting {
	t.Helper()
	for _, s := range flagTable() {
		if s.name == flag {
			return s
		}
	}
	t.Fatalf("no flag --%s in the table", flag)
	return setting{}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		cfg  Config
		want string // "" is accepted
	}{
		{"zero", Config{}, ""},
		{"localhost", Config{Listen: "localhost:0"}, ""},
		{"IPv6 loopback", Config{Listen: "[::1]:0"}, ""},
		{"other loopback", Config{Listen: "127.8.9.1:0"}, ""},
		{"all interfaces", Config{Listen: ":8080"}, `--listen ":8080": not a loopback address; the API has no authentication: listen on 127.0.0.1, set --admin-token-file, or add --insecure`},
		{"all IPv4", Config{Listen: "0.0.0.0:8080"}, "not a loopback address"},
		{"all IPv6", Config{Listen: "[::]:8080"}, "not a loopback address"},
		{"an address", Config{Listen: "192.0.2.1:8080"}, "not a loopback address"},
		{"no such host", Config{Listen: "nowhere.invalid:8080"}, "couldn't resolve the host"},
		{"insecure", Config{Listen: ":8080", Insecure: true}, ""},
		{"admin token", Config{Listen: ":8080", AdminToken: "0123456789abcdef"}, ""},
		{"admin token file", Config{Listen: ":8080", AdminTokenFile: "x"}, ""},
		{"both", Config{AdminToken: "0123456789abcdef", AdminTokenFile: "x"}, "--admin-token and --admin-token-file exclude each other"},
		{"short admin token", Config{AdminToken: "hunter2"}, "--admin-token: 16 to 200 printable"},
		{"certificate alone", Config{TLSCert: "x"}, "--tls-cert and --tls-key belong together"},
		{"key alone", Config{TLSKey: "x"}, "--tls-cert and --tls-key belong together"},
		{"made by hand", Config{HistoryTTL: 1500 * time.Millisecond}, "--history-ttl: whole seconds from 1m on are accepted"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := tc.cfg.withDefaults().check(t.Context())
			if tc.want == "" && err != nil {
				t.Errorf("error %q, want none", err)
			}
			if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestExclusiveFlags(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		env  map[string]string
		args []string
		want string // "" is accepted
	}{
		{nil, []string{"--nats-url", "nats://a"}, ""},
		{map[string]string{"BELFRY_DATA": ""}, []string{"--nats-url", "nats://a"}, ""},
		{nil, []string{"--nats-url", "", "--data", "x", "--nats-config", "x", "--nats-listen", ":1"}, ""},
		{nil, []string{"--nats-url", "nats://a", "--nats-config", "", "--nats-listen", ""}, ""},
		{nil, []string{"--nats-url", "nats://a", "--data", "./data"}, "--nats-url and --data exclude each other"},
		{nil, []string{"--nats-url", "nats://a", "--nats-config", "x"}, "--nats-url and --nats-config exclude each other"},
		{map[string]string{"BELFRY_NATS_URL": "nats://a"}, []string{"--nats-listen", ":1"}, "BELFRY_NATS_URL and --nats-listen exclude each other"},
	} {
		_, err := parse(tc.env, tc.args...)
		if tc.want == "" && err != nil {
			t.Errorf("%v %q: error %q, want none", tc.env, tc.args, err)
		}
		if tc.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.want)) {
			t.Errorf("%v %q: error %v, want it to begin with %q", tc.env, tc.args, err, tc.want)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"1", "512KiB", "7MiB", "KiB", "-1MiB", "2147483647MiB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := parseSize(s)
		if !ok || n < 0 {
			return
		}
		if again, ok := parseSize(strconv.Itoa(n)); !ok || again != n {
			t.Errorf("parseSize(%q) = %d bytes, which is read as %d, %v", s, n, again, ok)
		}
	})
}
