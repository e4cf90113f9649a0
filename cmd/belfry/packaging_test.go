package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"belfry/internal/logtest"
	"belfry/internal/porttest"
	"belfry/internal/waittest"
)

// The unit and the image start Belfry with flags that there are.
func TestPackaging(t *testing.T) {
	t.Parallel()
	var names []string
	for _, s := range flagTable() {
		names = append(names, s.name)
	}
	started := regexp.MustCompile(`(?m)^(ExecStart|CMD).*\bserve\b.*$`)
	flag := regexp.MustCompile(`--([a-z-]+)`)
	for _, file := range []string{"../../Dockerfile", "../../packaging/belfry.service", "../../packaging/belfry-nats.service"} {
		line := started.FindString(readText(t, file))
		found := flag.FindAllStringSubmatch(line, -1)
		if len(found) == 0 || !strings.Contains(line, "serve") {
			t.Errorf("%s starts belfry with %q, want serve with flags", file, line)
		}
		for _, f := range found {
			if !slices.Contains(names, f[1]) {
				t.Errorf("%s has the flag --%s, which there is not", file, f[1])
			}
		}
	}
}

// The unit starts Belfry again whenever that helps.
func TestUnitStartsAgain(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"belfry.service", "belfry-nats.service"} {
		unit := readText(t, "../../packaging/"+name)
		for _, line := range []string{"Restart=always", "StartLimitIntervalSec=0", "RestartPreventExitStatus=78", "TimeoutStopSec=35"} {
			if !strings.Contains(unit, "\n"+line+"\n") {
				t.Errorf("%s lacks %s", name, line)
			}
		}
	}
}

// The image says whether Belfry is healthy, by a command that there is.
func TestImageHasAHealthCheck(t *testing.T) {
	t.Parallel()
	check := regexp.MustCompile(`(?m)^HEALTHCHECK .*CMD \["/belfry", "status", "--alive"\]$`)
	if !check.MatchString(readText(t, "../../Dockerfile")) {
		t.Error("the Dockerfile has no HEALTHCHECK by belfry status --alive, which a start that takes long passes")
	}
	s := startServer(t, freePorts(t))
	run := func(server, flag string) (int, string) {
		out, err := program(t, []string{"BELFRY_SERVER=" + server}, "status", flag).CombinedOutput()
		return exitCode(err), string(out)
	}
	waittest.Eventually(t, func() string {
		if code, out := run("http://"+s.Addr(), "--quiet"); code != 0 || out != "" {
			return fmt.Sprintf("exit code %d, %q; want 0 and nothing", code, out)
		}
		return ""
	})
	waiting, _, _ := starts(t, Config{Listen: "127.0.0.1:0", NATSURL: "nats://" + porttest.Unused(t)}, &logtest.Log{})
	notReady(t, waiting, "is not up yet")
	if code, out := run("http://"+waiting.Addr(), "--quiet"); code == 0 || !strings.Contains(out, "is not up yet") {
		t.Errorf("--quiet of a server that waits for NATS: exit code %d, %q", code, out)
	}
	for _, at := range []string{s.Addr(), waiting.Addr()} {
		if code, out := run("http://"+at, "--alive"); code != 0 || out != "" {
			t.Errorf("--alive: exit code %d, %q; want 0 and nothing", code, out)
		}
	}
	if code, _ := run("http://"+porttest.Unused(t), "--alive"); code == 0 {
		t.Error("--alive without a server: exit code 0")
	}
}

// The documents of a release have all that they link to beside them.
func TestShippedLinks(t *testing.T) {
	t.Parallel()
	const root = "../.."
	makefile := readText(t, filepath.Join(root, "Makefile"))
	line := regexp.MustCompile(`(?m)^SHIPPED := (.*)$`).FindStringSubmatch(makefile)
	if line == nil {
		t.Fatal("the Makefile does not say what is SHIPPED")
	}
	var shipped []string
	for _, pattern := range strings.Fields(line[1]) {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Errorf("SHIPPED has %s: there are %d such files, %v", pattern, len(files), err)
		}
		shipped = append(shipped, files...)
	}
	links := 0
	for _, file := range shipped {
		if filepath.Ext(file) != ".md" {
			continue
		}
		for _, l := range linksOf(t, file) {
			if l.target == file {
				continue
			}
			links++
			if !slices.Contains(shipped, l.target) {
				t.Errorf("%s links to %s, which is not shipped", file, l.target)
			}
		}
	}
	if links < 10 {
		t.Errorf("found %d links, want at least 10", links)
	}
}
