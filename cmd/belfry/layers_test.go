package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rooms are the packages below streams, each of which may use those before it.
var rooms = []string{
	"wire", "journal", "due", "routes", "jobs", "deadletter", "tokens", "backup", "timer", "lease", "manifest", "asset", "fires", "audit", "setup",
}

// The packages that adapt a technology do not know each other, and the domain
// knows the standard library only; they meet here, in cmd.
func TestLayers(t *testing.T) {
	forbidden := map[string][]string{
		"belfry/api":               {"belfry/api/client", "belfry/streams", "belfry/delivery", "github.com/nats-io/", "github.com/prometheus/", "go.opentelemetry.io/"},
		"belfry/api/service":       {"belfry/api/client", "belfry/streams", "belfry/delivery", "github.com/nats-io/nats-server", "github.com/nats-io/nats.go/jetstream", "github.com/prometheus/", "go.opentelemetry.io/"},
		"belfry/delivery":          {"belfry/streams", "belfry/api", "github.com/nats-io/", "github.com/prometheus/", "go.opentelemetry.io/"},
		"belfry/streams":           {"belfry/api", "belfry/delivery", "net/http", "github.com/nats-io/nats-server", "github.com/prometheus/", "go.opentelemetry.io/"},
		"belfry/internal/tracing":  {"belfry/", "github.com/nats-io/"},
		"belfry/internal/metrics":  {"belfry/api", "belfry/streams", "belfry/delivery", "github.com/nats-io/"},
		"belfry/internal/contract": {"belfry/api", "belfry/streams", "belfry/delivery", "github.com/nats-io/", "net/http"},
		"belfry/internal/command":  {"belfry/api", "belfry/streams", "belfry/delivery", "github.com/nats-io/", "github.com/prometheus/", "go.opentelemetry.io/"},
		"belfry/internal/backup":   {"belfry/api", "belfry/streams", "belfry/delivery", "github.com/nats-io/", "net/http"},
		"belfry/api/client":        {"belfry/", "github.com/", "golang.org/"},
		"belfry/internal/job":      {"belfry/", "github.com/", "golang.org/", "net/http"},
	}
	for i, room := range rooms {
		bad := slices.Clone(forbidden["belfry/streams"])
		for _, above := range append(slices.Clone(rooms[i+1:]), "") {
			bad = append(bad, strings.TrimSuffix("belfry/streams/"+above, "/")+"$")
		}
		forbidden["belfry/streams/"+room] = bad
	}
	// The client is for anybody who calls the API, as the command line does.
	allowed := map[string]string{"belfry/internal/command": "belfry/api/client"}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "belfry/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	seen := 0
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		bad, ok := forbidden[p.ImportPath]
		if !ok {
			continue
		}
		seen++
		for _, imported := range p.Imports {
			if imported != allowed[p.ImportPath] && slices.ContainsFunc(bad, func(b string) bool { return strings.HasPrefix(imported+"$", b) }) {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
	}
	if seen != len(forbidden) {
		t.Errorf("go list showed %d of the %d packages", seen, len(forbidden))
	}
}
