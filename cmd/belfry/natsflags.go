package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
)

// These settings say where NATS is, and who Belfry is there.
var (
	embeddedSettings = []string{"data", "nats-config", "nats-listen", "nats-admin"}
	placeSettings    = []string{"nats-url", "context"}
	userSettings     = []string{"creds", "nkey"}
	tlsSettings      = []string{"tlscert", "tlskey", "tlsca", "tlsfirst"}
)

// silenced returns the settings whose common variable does not count, because a flag or
// a variable of Belfry's own says something about the same subject: a shell may have the
// common variables for other tools.
func silenced(cmd *cli.Command, getenv func(string) string) map[string]bool {
	said := map[string]bool{}
	for _, s := range flagTable() {
		said[s.name] = cmd.IsSet(s.name) || getenv(s.env()) != ""
	}
	any := func(groups ...[]string) bool {
		for _, names := range groups {
			for _, name := range names {
				if said[name] {
					return true
				}
			}
		}
		return false
	}
	silent := map[string]bool{}
	silence := func(names []string, when bool) {
		for _, name := range names {
			silent[name] = when
		}
	}
	elsewhere := any(embeddedSettings) || said["context"] // a context has all settings of its own
	silence(placeSettings, any(embeddedSettings, placeSettings))
	silence(userSettings, elsewhere || any(userSettings))
	silence(tlsSettings, elsewhere)
	return silent
}

// givenSettings has the flag or the variable that each setting came from.
type givenSettings map[string]string

// check refuses settings that do not go together. Common variables about a user
// mean nothing to the embedded server.
func (g givenSettings) check(c Config) error {
	for _, place := range placeSettings {
		for _, name := range embeddedSettings {
			if g[place] != "" && g[name] != "" {
				return fmt.Errorf("%s and %s exclude each other: the first uses an existing server, the second is about the embedded one", g[place], g[name])
			}
		}
	}
	for _, name := range append([]string{"nats-url"}, append(userSettings, tlsSettings...)...) {
		switch from := g[name]; {
		case from == "":
		case g["context"] != "":
			return fmt.Errorf("%s and %s exclude each other: a context says all about its server", g["context"], from)
		case name != "nats-url" && c.embedded() && !strings.HasPrefix(from, "NATS_"):
			return fmt.Errorf("%s needs --nats-url: Belfry lets itself into the embedded server", from)
		}
	}
	switch creds, nkey := g["creds"], g["nkey"]; {
	case c.embedded():
	case creds != "" && nkey != "":
		return fmt.Errorf("%s and %s exclude each other: Belfry is one user", creds, nkey)
	case creds+nkey != "" && hasUser(c.NATSURL):
		return fmt.Errorf("%s and %s exclude each other: the URL has a user, and Belfry is one", g["nats-url"], creds+nkey)
	case (c.NATSCert == "") != (c.NATSKey == ""):
		return fmt.Errorf("%s is alone: --tlscert and --tlskey belong together, give both, or neither", g["tlscert"]+g["tlskey"])
	}
	return nil
}

// hasUser reports whether URLs of NATS servers have credentials in them.
func hasUser(list string) bool {
	urls, _ := natsURLs(list)
	return slices.ContainsFunc(urls, func(u *url.URL) bool { return u.User != nil })
}
