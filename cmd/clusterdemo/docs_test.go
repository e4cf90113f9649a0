package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"belfry/internal/proc"
)

// The configuration and the commands of docs/cluster.md are the ones that the demo runs.
func TestDocumentedCluster(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	routes := []string{"127.0.0.1:6222", "127.0.0.1:6223", "127.0.0.1:6224"}
	var servers []proc.NATSServer
	for i, route := range routes {
		port := string(rune('2' + i))
		servers = append(servers, proc.NATSServer{
			Name: "n" + string(rune('1'+i)), Client: "127.0.0.1:422" + port, Monitor: "127.0.0.1:822" + port,
			Cluster: route, Routes: routes, Store: "cluster/n" + string(rune('1'+i)),
		})
	}
	for _, listen := range []string{"127.0.0.1:8080", "127.0.0.1:8081"} {
		p := proc.Belfry("", "bin/belfry", listen, "", nodeArgs(servers)...)
		if want := p.Path + " " + strings.Join(p.Args, " ") + " &\n"; !strings.Contains(string(doc), want) {
			t.Errorf("docs/cluster.md has no line %q", want)
		}
	}
	// The shell commands before the first start make the files.
	var script strings.Builder
	blocks := strings.Split(string(doc), "```sh\n")[1:]
	for _, b := range blocks {
		code, _, _ := strings.Cut(b, "```")
		if strings.Contains(code, "bin/nats-server") {
			break
		}
		script.WriteString(code)
	}
	sh := exec.Command("sh", "-e")
	sh.Dir, sh.Stdin = t.TempDir(), strings.NewReader(script.String())
	if out, err := sh.CombinedOutput(); err != nil {
		t.Fatalf("the commands of docs/cluster.md: %v\n%s", err, out)
	}
	for _, s := range servers {
		got, err := os.ReadFile(filepath.Join(sh.Dir, "cluster", s.Name+".conf"))
		if err != nil || string(got) != s.Config() {
			t.Errorf("%s.conf of docs/cluster.md (%v) is\n%s\nwant\n%s", s.Name, err, got, s.Config())
		}
	}
}
