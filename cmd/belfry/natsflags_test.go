package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The variables of all NATS tools count where no setting of Belfry's own speaks.
func TestCommonVariables(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		env  map[string]string
		args []string
		want Config // only what is about NATS
	}{
		{"a server", map[string]string{"NATS_URL": "nats://a", "NATS_CREDS": "c", "NATS_CERT": "x", "NATS_KEY": "y", "NATS_CA": "z"}, nil,
			Config{NATSURL: "nats://a", NATSCreds: "c", NATSCert: "x", NATSKey: "y", NATSCA: "z", Data: "./data"}},
		{"an nkey", map[string]string{"NATS_URL": "nats://a", "NATS_NKEY": "n"}, nil, Config{NATSURL: "nats://a", NATSNKey: "n", Data: "./data"}},
		{"a context", map[string]string{"NATS_CONTEXT": "c"}, nil, Config{NATSContext: "c", Data: "./data"}},
		{"empty ones", map[string]string{"NATS_URL": "", "NATS_CONTEXT": ""}, nil, Config{Data: "./data"}},
		{"a URL of Belfry's own", map[string]string{"NATS_URL": "nats://a", "NATS_CONTEXT": "c", "BELFRY_NATS_URL": "nats://b"}, nil,
			Config{NATSURL: "nats://b", Data: "./data"}},
		{"a URL by flag, with common credentials", map[string]string{"NATS_URL": "nats://a", "NATS_CREDS": "c"}, []string{"--nats-url", "nats://b"},
			Config{NATSURL: "nats://b", NATSCreds: "c", Data: "./data"}},
		{"a URL turned off", map[string]string{"NATS_URL": "nats://a"}, []string{"--nats-url", ""}, Config{Data: "./data"}},
		{"a context by flag", map[string]string{"NATS_URL": "nats://a", "NATS_CREDS": "c", "NATS_CA": "z"}, []string{"--context", "b"},
			Config{NATSContext: "b", Data: "./data"}},
		{"credentials by flag", map[string]string{"NATS_URL": "nats://a", "NATS_CREDS": "c"}, []string{"--nkey", "n"},
			Config{NATSURL: "nats://a", NATSNKey: "n", Data: "./data"}},
		{"the embedded server", map[string]string{"NATS_URL": "nats://a", "NATS_CONTEXT": "c", "NATS_CREDS": "c"}, []string{"--data", "d"},
			Config{Data: "d"}},
		{"the embedded server by variable", map[string]string{"NATS_URL": "nats://a", "BELFRY_NATS_CONFIG": "f"}, nil,
			Config{Data: "./data", NATSConfig: "f"}},
	} {
		got, err := parse(tt.env, tt.args...)
		got = Config{NATSURL: got.NATSURL, NATSContext: got.NATSContext, NATSCreds: got.NATSCreds, NATSNKey: got.NATSNKey,
			NATSCert: got.NATSCert, NATSKey: got.NATSKey, NATSCA: got.NATSCA, Data: got.Data, NATSConfig: got.NATSConfig}
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %q: error %v, configuration (-want +got):\n%s", tt.name, tt.env, tt.args, err, diff)
		}
	}
	// The embedded server ignores credentials for external servers.
	if c, err := parse(map[string]string{"NATS_CREDS": "c", "NATS_CERT": "x"}); err != nil || !c.embedded() {
		t.Errorf("credentials alone: %v, embedded: %v", err, c.embedded())
	}
}

func TestNATSFlagsThatDoNotGoTogether(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		env  map[string]string
		args []string
		want string
	}{
		{nil, []string{"--context", "c", "--data", "d"}, "--context and --data exclude each other: the first uses an existing server"},
		{nil, []string{"--context", "c", "--nats-url", "nats://a"}, "--context and --nats-url exclude each other: a context says all about its server"},
		{nil, []string{"--context", "c", "--creds", "f"}, "--context and --creds exclude each other"},
		{map[string]string{"BELFRY_TLSCA": "f"}, []string{"--context", "c"}, "--context and BELFRY_TLSCA exclude each other"},
		{map[string]string{"NATS_CONTEXT": "c", "NATS_URL": "nats://a"}, nil, "NATS_CONTEXT and NATS_URL exclude each other"},
		{nil, []string{"--creds", "f"}, "--creds needs --nats-url: Belfry lets itself into the embedded server"},
		{nil, []string{"--tlsca", "f", "--data", "d"}, "--tlsca needs --nats-url"},
		{nil, []string{"--tlsfirst"}, "--tlsfirst needs --nats-url"},
		{nil, []string{"--context", "c", "--tlsfirst"}, "--context and --tlsfirst exclude each other"},
		{nil, []string{"--nats-url", "nats://a", "--creds", "f", "--nkey", "g"}, "--creds and --nkey exclude each other: Belfry is one user"},
		{map[string]string{"NATS_CREDS": "f", "NATS_NKEY": "g"}, []string{"--nats-url", "nats://a"}, "NATS_CREDS and NATS_NKEY exclude each other"},
		{nil, []string{"--nats-url", "nats://u:hunter2@a", "--creds", "f"}, "--nats-url and --creds exclude each other: the URL has a user"},
		{nil, []string{"--nats-url", "nats://a", "--tlscert", "f"}, "--tlscert is alone: --tlscert and --tlskey belong together"},
		{map[string]string{"NATS_KEY": "f"}, []string{"--nats-url", "nats://a"}, "NATS_KEY is alone"},
		{map[string]string{"NATS_URL": "http://u:hunter2@a"}, nil, "NATS_URL: URLs with the scheme nats, tls, ws or wss"},
	} {
		_, err := parse(tt.env, tt.args...)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v %q: error %v, want it to begin with %q", tt.env, tt.args, err, tt.want)
		}
	}
}
