package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"belfry/internal/logtest"
	"belfry/internal/natstest"
)

// inFile writes a file of the test's own, and returns its path.
func inFile(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// natsContext is a context of the nats command in a file.
func natsContext(t *testing.T, settings map[string]any) string {
	t.Helper()
	data, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	return inFile(t, "context.json", data)
}

// nkeyServer lets in one nkey, whose seed it returns.
func nkeyServer(t *testing.T) (s *natstest.Server, seed []byte) {
	t.Helper()
	user, public := newKey(t, nkeys.CreateUser)
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return natstest.StartWith(t, &server.Options{Nkeys: []*server.NkeyUser{{Nkey: public}}}), seed
}

func newKey(t *testing.T, create func() (nkeys.KeyPair, error)) (key nkeys.KeyPair, public string) {
	t.Helper()
	key, err := create()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = key.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return key, public
}

// jwtServer has an operator and one account with JetStream, and returns the
// credentials of a user of that.
func jwtServer(t *testing.T) (s *natstest.Server, creds []byte) {
	t.Helper()
	account, accountID := newKey(t, nkeys.CreateAccount)
	return operatorServer(t, withJetStream(accountID)), userOf(t, account)
}

// withJetStream are the claims of an account that may keep what it likes.
func withJetStream(accountID string) *jwt.AccountClaims {
	claims := jwt.NewAccountClaims(accountID)
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	return claims
}

// operatorServer has an operator, who vouches for the accounts.
func operatorServer(t *testing.T, accounts ...*jwt.AccountClaims) *natstest.Server {
	t.Helper()
	operator, operatorID := newKey(t, nkeys.CreateOperator)
	_, systemID := newKey(t, nkeys.CreateAccount)
	resolver := &server.MemAccResolver{}
	for _, claims := range append(accounts, jwt.NewAccountClaims(systemID)) {
		token, err := claims.Encode(operator)
		if err != nil {
			t.Fatal(err)
		}
		if err := resolver.Store(claims.Subject, token); err != nil {
			t.Fatal(err)
		}
	}
	return natstest.StartWith(t, &server.Options{
		TrustedOperators: []*jwt.OperatorClaims{jwt.NewOperatorClaims(operatorID)}, SystemAccount: systemID, AccountResolver: resolver,
	})
}

// userOf returns the credentials of a new user of the account.
func userOf(t *testing.T, account nkeys.KeyPair) (creds []byte) {
	t.Helper()
	user, userID := newKey(t, nkeys.CreateUser)
	token, err := jwt.NewUserClaims(userID).Encode(account)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if creds, err = jwt.FormatUserConfig(token, seed); err != nil {
		t.Fatal(err)
	}
	return creds
}

// Belfry connects to an external server with what the nats command would use, and logs
// none of the secrets.
func TestConnectAsNATSDoes(t *testing.T) {
	t.Parallel()
	withPassword := natstest.StartWith(t, &server.Options{Username: "belfry", Password: "hunter2"})
	withNKey, seed := nkeyServer(t)
	withJWT, creds := jwtServer(t)
	cert, key := keyPair(t, "client and server")
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	known := x509.NewCertPool()
	known.AppendCertsFromPEM(cert)
	mutual := &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: known, ClientAuth: tls.RequireAndVerifyClientCert}
	withTLS := natstest.StartWith(t, &server.Options{TLSVerify: true, TLSConfig: mutual})
	tlsFirst := natstest.StartWith(t, &server.Options{TLSVerify: true, TLSHandshakeFirst: true, TLSConfig: mutual})
	jwtUser, err := jwt.ParseDecoratedUserNKey(creds)
	if err != nil {
		t.Fatal(err)
	}
	jwtSeed, err := jwtUser.Seed()
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := inFile(t, "tls.crt", cert), inFile(t, "tls.key", key)
	nkeyFile, credsFile := inFile(t, "user.nk", seed), inFile(t, "user.creds", creds)

	for _, tt := range []struct {
		name string
		cfg  Config
	}{
		{"a user in a context", Config{NATSContext: natsContext(t, map[string]any{"url": withPassword.ClientURL(), "user": "belfry", "password": "hunter2"})}},
		{"an nkey", Config{NATSURL: withNKey.ClientURL(), NATSNKey: nkeyFile}},
		{"an nkey in a context", Config{NATSContext: natsContext(t, map[string]any{"url": withNKey.ClientURL(), "nkey": nkeyFile})}},
		{"a JWT", Config{NATSURL: withJWT.ClientURL(), NATSCreds: credsFile}},
		{"a JWT in a context", Config{NATSContext: natsContext(t, map[string]any{"url": withJWT.ClientURL(), "creds": credsFile})}},
		{"certificates", Config{NATSURL: withTLS.ClientURL(), NATSCert: certFile, NATSKey: keyFile, NATSCA: certFile}},
		{"TLS first", Config{NATSURL: tlsFirst.ClientURL(), NATSCert: certFile, NATSKey: keyFile, NATSCA: certFile, NATSTLSFirst: true}},
		{"TLS first in a context", Config{NATSContext: natsContext(t, map[string]any{"url": tlsFirst.ClientURL(), "cert": certFile, "key": keyFile, "ca": certFile, "tls_first": true})}},
		{"certificates in a context", Config{NATSContext: natsContext(t, map[string]any{"url": withTLS.ClientURL(), "cert": certFile, "key": keyFile, "ca": certFile})}},
	} {
		t.Run(tt.name, func(t *testing.T) { // one after the other, on the same streams
			tt.cfg.Listen, tt.cfg.Partitions = "127.0.0.1:0", 1
			log := &logtest.Log{}
			s := New(tt.cfg, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
			if err := s.Start(t.Context()); err != nil {
				t.Fatalf("Start: %v", err)
			}
			if status, body := call(t, s, http.MethodPost, "/route/games", `{"id":"r","type":"NATS"}`); status != http.StatusOK {
				t.Errorf("a route: %d %s", status, body)
			}
			if err := s.Stop(t.Context()); err != nil {
				t.Errorf("Stop: %v", err)
			}
			for _, secret := range []string{"hunter2", string(seed), string(jwtSeed)} {
				if strings.Contains(log.String(), secret) {
					t.Errorf("the log has the secret %.2s…:\n%s", secret, log)
				}
			}
		})
	}
}

func TestConnectRefused(t *testing.T) {
	t.Parallel()
	withPassword := natstest.StartWith(t, &server.Options{Username: "belfry", Password: "correct horse"})
	withNKey, _ := nkeyServer(t)
	stranger, _ := newKey(t, nkeys.CreateUser)
	seed, err := stranger.Seed()
	if err != nil {
		t.Fatal(err)
	}
	at := withPassword.ClientURL()
	garbage := inFile(t, "garbage", []byte("hunter2"))
	for _, tt := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"wrong password", Config{NATSContext: natsContext(t, map[string]any{"url": at, "user": "belfry", "password": "hunter2"})}, "nats: Authorization Violation"},
		{"unknown nkey", Config{NATSURL: withNKey.ClientURL(), NATSNKey: inFile(t, "x.nk", seed)}, "nats: Authorization Violation"},
		{"no nkey", Config{NATSURL: at, NATSNKey: garbage}, "--nkey: "},
		{"no credentials", Config{NATSURL: at, NATSCreds: garbage}, "couldn't connect to the server of --nats-url at 127.0.0.1:"},
		{"missing credentials", Config{NATSURL: at, NATSCreds: "/nowhere.creds"}, "no such file"},
		{"no certificate", Config{NATSURL: at, NATSCert: garbage, NATSKey: garbage}, "certificate"},
		{"no authority", Config{NATSURL: at, NATSCA: garbage}, "root certificate"},
		{"no such context", Config{NATSContext: "nowhere-to-be-found"}, `the server of the context "nowhere-to-be-found": unknown context`},
		{"bad URL in a context", Config{NATSContext: natsContext(t, map[string]any{"url": "nats://u:hunter2@h:x"})}, `its url: invalid port ":x" after host`},
		{"context is no JSON", Config{NATSContext: garbage}, "invalid character"},
		{"a domain", Config{NATSContext: natsContext(t, map[string]any{"url": at, "user": "belfry", "password": "correct horse", "jetstream_domain": "leaf"})}, "it has a jetstream_domain"},
	} {
		tt.cfg.Listen = "127.0.0.1:0"
		err := newServer(tt.cfg).Start(t.Context())
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q in it", tt.name, err, tt.want)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "correct horse") || strings.Contains(err.Error(), string(seed))) {
			t.Errorf("%s: the error tells a secret: %v", tt.name, err)
		}
	}
}

// A context goes by its name, too, where the nats command keeps them.
func TestContextByName(t *testing.T) {
	ns := natstest.StartWith(t, &server.Options{Username: "belfry", Password: "hunter2"})
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	dir := filepath.Join(home, "nats", "context")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	settings := `{"url":"` + ns.ClientURL() + `","user":"belfry","password":"hunter2"}`
	if err := os.WriteFile(filepath.Join(dir, "timers.json"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, Config{Listen: "127.0.0.1:0", NATSContext: "timers", Partitions: 1})
	if got := s.NATSURL(); got != ns.ClientURL() {
		t.Errorf("it is on %s, want %s", got, ns.ClientURL())
	}
}
