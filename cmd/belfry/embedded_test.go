package main

import (
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func confFile(t *testing.T, conf string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(name, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestShippedConfiguration(t *testing.T) {
	t.Parallel()
	largest := Config{NATSConfig: "../../nats.conf", MaxMeta: 7 << 20}
	opts, err := natsOptions(t.Context(), largest.withDefaults())
	if err != nil {
		t.Fatalf("natsOptions for nats.conf: %v", err)
	}
	if !opts.JetStream || !opts.SyncAlways {
		t.Errorf("nats.conf: JetStream %v, sync always %v, want both", opts.JetStream, opts.SyncAlways)
	}
	if got := listenAddr(opts); got != "127.0.0.1:4222" {
		t.Errorf("nats.conf listens on %s, want 127.0.0.1:4222", got)
	}
}

func TestNATSOptions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		conf   string // "" is no file
		cfg    Config
		listen string
		sync   bool
		max    int32
	}{
		{"nothing said", "", Config{}, "127.0.0.1:4222", true, 1 << 20},
		{"a port", "", Config{NATSListen: ":5000"}, "127.0.0.1:5000", true, 1 << 20},
		{"a free port", "", Config{NATSListen: ":0"}, "127.0.0.1:0", true, 1 << 20},
		{"a free port, NATS style", "", Config{NATSListen: ":-1"}, "127.0.0.1:0", true, 1 << 20},
		{"an address", "", Config{NATSListen: "[::1]:5000"}, "[::1]:5000", true, 1 << 20},
		{"large jobs", "", Config{MaxMeta: 1 << 20}, "127.0.0.1:4222", true, 1<<20 + recordOverhead},
		{"empty file", "debug: false", Config{}, "127.0.0.1:4222", true, 1 << 20},
		{"file says", "listen: 127.0.0.2:5001, max_payload: 2MB", Config{}, "127.0.0.2:5001", true, 2 << 20},
		{"flag beats file", "listen: 127.0.0.2:5001", Config{NATSListen: "127.0.0.1:5002"}, "127.0.0.1:5002", true, 1 << 20},
		{"flag beats the port", "listen: 127.0.0.2:5001", Config{NATSListen: ":5002"}, "127.0.0.2:5002", true, 1 << 20},
		{"relaxed", "jetstream { sync_interval: 1s }", Config{}, "127.0.0.1:4222", false, 1 << 20},
		{"everywhere with a password", `listen: 0.0.0.0:5001, authorization { user: u, password: p }`, Config{}, "0.0.0.0:5001", true, 1 << 20},
		{"everywhere in words", `listen: 0.0.0.0:5001`, Config{Insecure: true}, "0.0.0.0:5001", true, 1 << 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cfg := tc.cfg.withDefaults()
			if tc.conf != "" {
				cfg.NATSConfig = confFile(t, tc.conf)
			}
			opts, err := natsOptions(t.Context(), cfg)
			if err != nil {
				t.Fatalf("natsOptions: %v", err)
			}
			if got := listenAddr(opts); got != tc.listen {
				t.Errorf("it listens on %s, want %s", got, tc.listen)
			}
			if opts.SyncAlways != tc.sync {
				t.Errorf("sync always is %v, want %v", opts.SyncAlways, tc.sync)
			}
			if opts.MaxPayload != tc.max {
				t.Errorf("max_payload is %d, want %d", opts.MaxPayload, tc.max)
			}
			if !opts.JetStream || opts.StoreDir != cfg.Data {
				t.Errorf("JetStream is %v in %q, want true in %q", opts.JetStream, opts.StoreDir, cfg.Data)
			}
		})
	}
}

func TestNATSOptionsRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, conf string
		cfg        Config
		want       string
	}{
		{"unknown keys", "lisen: 4222\njetstrem: true", Config{}, `couldn't load it`},
		{"store_dir", `jetstream { store_dir: "/tmp/x" }`, Config{}, "leave store_dir out: --data says where the data is"},
		{"accounts", `accounts { A { users [ {user: a, password: b} ] } }`, Config{}, "leave accounts, operator, trusted, system_account and auth_callout out"},
		{"small payload", "max_payload: 100KB", Config{}, "max_payload must be at least 589824, or --max-meta at most 36864"},
		{"everywhere", "listen: 0.0.0.0:4222", Config{}, `would listen on "0.0.0.0:4222": not a loopback address`},
		{"everywhere by flag", "debug: false", Config{NATSListen: "0.0.0.0:4222"}, "add --insecure"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cfg := tc.cfg.withDefaults()
			cfg.NATSConfig = confFile(t, tc.conf)
			_, err := natsOptions(t.Context(), cfg)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("natsOptions for %q: error %v, want %q in it", tc.conf, err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("natsOptions for %q: error %q, want one line", tc.conf, err)
			}
		})
	}
	missing := filepath.Join(t.TempDir(), "none.conf")
	if _, err := natsOptions(t.Context(), Config{NATSConfig: missing}.withDefaults()); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("natsOptions without the file: error %v, want its name in it", err)
	}
}

// The server listens on every port that the file asks for, and on all interfaces
// where it names no host.
func TestOtherListeners(t *testing.T) {
	t.Parallel()
	const users = `authorization { user: u, password: p }`
	for _, tc := range []struct {
		name, conf string
		refused    string // empty is accepted
	}{
		{"websocket", `websocket { port: 8443, no_tls: true }`, `websocket of the embedded nats-server would listen on ":8443": not a loopback address`},
		{"websocket on loopback", `websocket { listen: "127.0.0.1:8443", no_tls: true }`, ""},
		{"websocket with users", users + `, websocket { port: 8443, no_tls: true }`, ""},
		{"websocket with its own", `websocket { port: 8443, no_tls: true, ` + users + ` }`, ""},
		{"mqtt", `mqtt { port: 1883 }`, `mqtt of the embedded nats-server would listen on ":1883": not a loopback address`},
		{"mqtt on loopback", `mqtt { host: 127.0.0.1, port: 1883 }`, ""},
		{"mqtt with users", users + `, mqtt { port: 1883 }`, ""},
		{"mqtt with its own", `mqtt { port: 1883, ` + users + ` }`, ""},
		{"leafnodes", `leafnodes { port: 7422 }`, `leafnodes of the embedded nats-server would listen on ":7422": not a loopback address`},
		{"leafnodes on loopback", `leafnodes { listen: "127.0.0.1:7422" }`, ""},
		{"leafnodes with one user", users + `, leafnodes { port: 7422 }`, ""},
		{"leafnodes with its own", `leafnodes { port: 7422, ` + users + ` }`, ""},
		{"leafnodes that only dials", `leafnodes { remotes: [ {url: "nats://192.0.2.1:7422"} ] }`, ""},
		{"gateway", `gateway { name: a, port: 7222 }`, `gateway of the embedded nats-server would listen on ":7222": not a loopback address, and --nats-config has no authorization in gateway: listen on 127.0.0.1, configure authorization in gateway, or add --insecure`},
		{"gateway on loopback", `gateway { name: a, listen: "[::1]:7222" }`, ""},
		{"gateway with users for clients", users + `, gateway { name: a, port: 7222 }`, "no authorization in gateway"},
		{"gateway with its own", `gateway { name: a, port: 7222, ` + users + ` }`, ""},
		{"cluster", `cluster { name: a, listen: "0.0.0.0:6222" }`, `cluster of the embedded nats-server would listen on "0.0.0.0:6222": not a loopback address`},
		{"cluster on a free port", `cluster { name: a, port: -1 }`, `would listen on ":0"`},
		{"cluster on loopback", `cluster { name: a, listen: "127.0.0.1:6222" }`, ""},
		{"cluster with users for clients", users + `, cluster { name: a, port: 6222 }`, "no authorization in cluster"},
		{"cluster with its own", `cluster { name: a, port: 6222, ` + users + ` }`, ""},
		{"http", `http: "0.0.0.0:8222"`, `http of the embedded nats-server would listen on "0.0.0.0:8222": not a loopback address`},
		{"https", `https: "0.0.0.0:8222"`, `https of the embedded nats-server would listen on "0.0.0.0:8222": not a loopback address`},
		{"http on loopback", `http: "127.0.0.1:8222"`, ""},
		{"http where clients connect", `http_port: 8222`, ""},
		{"http with users for clients", users + `, http: "0.0.0.0:8222"`, "it asks nobody who they are: listen on 127.0.0.1, or add --insecure"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cfg := Config{NATSConfig: confFile(t, tc.conf)}.withDefaults()
			_, err := natsOptions(t.Context(), cfg)
			if tc.refused == "" && err != nil || tc.refused != "" && (err == nil || !strings.Contains(err.Error(), tc.refused)) {
				t.Errorf("natsOptions for %q: error %v, want %q in it", tc.conf, err, tc.refused)
			}
			cfg.Insecure = true
			if _, err := natsOptions(t.Context(), cfg); err != nil {
				t.Errorf("natsOptions for %q with --insecure: %v", tc.conf, err)
			}
		})
	}
}

func TestEmbeddedServerAsksForCredentials(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, conf string
		user       *url.Userinfo
	}{
		{"one user", `authorization { user: u, password: p }`, url.UserPassword("u", "p")},
		{"a token", `authorization { token: "secret" }`, url.User("secret")},
		{"users", `authorization { users: [ {user: u, password: p}, {user: v, password: q} ] }`, url.UserPassword("v", "q")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cfg := Config{NATSConfig: confFile(t, tc.conf), Data: t.TempDir(), NATSListen: ":0"}.withDefaults()
			opts, err := natsOptions(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			e, err := startEmbedded(t.Context(), opts, "", slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer e.stop(t.Context())

			own, err := e.connection(storeConn)
			if err != nil {
				t.Fatal(err)
			}
			nc, err := nats.Connect("", own...)
			if err != nil {
				t.Fatalf("Belfry is not let in: %v", err)
			}
			defer nc.Close()
			js, err := nc.JetStream()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := js.AccountInfo(); err != nil {
				t.Errorf("Belfry cannot use JetStream: %v", err)
			}

			if _, err := nats.Connect(e.server.ClientURL()); err == nil {
				t.Error("a client without credentials is let in")
			}
			with, err := url.Parse(e.server.ClientURL())
			if err != nil {
				t.Fatal(err)
			}
			with.User = tc.user
			client, err := nats.Connect(with.String())
			if err != nil {
				t.Fatalf("a client with credentials is not let in: %v", err)
			}
			client.Close()
		})
	}
}

func TestEmbeddedServerThatGivesUpSaysWhy(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	opts := &server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, JetStream: true, StoreDir: file}
	_, err := startEmbedded(t.Context(), opts, "", slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "Can't start JetStream") {
		t.Errorf("startEmbedded with its store under a file: error %v, want that JetStream can't start", err)
	}
}

func TestNATSLogLevels(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	l := &natsLog{log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))}
	l.Tracef("payload %s", "secret")
	l.Debugf("d%d", 1)
	l.Noticef("n%d", 2)
	l.Warnf("w%d", 3)
	l.Errorf("e%d", 4)
	if err := l.fatal(); err != nil {
		t.Errorf("fatal() before a fatal message: %v, want nil", err)
	}
	l.Fatalf("f%d", 5)
	l.Fatalf("f%d", 6)
	if err := l.fatal(); fmt.Sprint(err) != "f5" {
		t.Errorf("fatal() is %v, want the first message, f5", err)
	}
	const want = `level=DEBUG msg=nats-server said=d1
level=DEBUG msg=nats-server said=n2
level=WARN msg=nats-server said=w3
level=ERROR msg=nats-server said=e4
level=ERROR msg=nats-server said=f5
level=ERROR msg=nats-server said=f6
`
	if out.String() != want {
		t.Errorf("the log is\n%swant\n%s", out.String(), want)
	}
}

// The server's warnings of damaged files are reported by stream. Those of its index
// count only after a clean stop, since a crash leaves the index behind.
func TestNATSLogDamage(t *testing.T) {
	t.Parallel()
	l := &natsLog{log: slog.New(slog.DiscardHandler)}
	say := func() {
		l.Warnf("Filestore [KV_jobs_0] Stream state detected prior state, could not locate msg block %d", 3)
		l.Warnf("Filestore [FIRES] loadBlock error: %v", "input/output error")
		l.Warnf("Filestore [FIRES] loadBlock error: %v", "input/output error")
		l.Warnf("Filestore [DEAD] Stream state outdated, last block has additional entries, will rebuild")
		l.Warnf("  Error recreating stream %q: %v", "KV_jobs_1", "storage directory is not writable")
	}
	say()
	if got := l.damage(false); len(got) != 1 || got[0].stream != "FIRES" {
		t.Errorf("after a crash: %v, want that of FIRES", got)
	}
	say()
	if got := l.damage(true); len(got) != 2 || got[0].stream != "KV_jobs_0" || got[1].stream != "FIRES" {
		t.Errorf("after a clean stop: %v, want those of KV_jobs_0 and FIRES", got)
	}
	if got := l.damage(true); len(got) > 0 {
		t.Errorf("told twice: %v", got)
	}
	if got := l.about("KV_jobs_1"); len(got) != 2 || got[0] != `Error recreating stream "KV_jobs_1": storage directory is not writable` {
		t.Errorf("about KV_jobs_1: %q", got)
	}
	if got := l.about("KV_jobs"); len(got) != 3 || strings.Contains(got[0], "KV_jobs_1:") {
		t.Errorf("about KV_jobs, which nothing names: %q, want the last three lines", got)
	}
	for range 3 * maxSaid {
		say()
	}
	if len(l.said) > maxSaid || len(l.hurt) > maxSaid {
		t.Errorf("%d lines and %d of damage are kept", len(l.said), len(l.hurt))
	}
}
