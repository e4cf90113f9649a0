package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
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
	for _, file := range []string{"../../Dockerfile", "../../packaging/belfry.service"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		line := started.FindString(string(data))
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

// The documents of a release have all that they link to beside them.
func TestShippedLinks(t *testing.T) {
	t.Parallel()
	const root = "../.."
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^SHIPPED := (.*)$`).FindStringSubmatch(string(makefile))
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
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`) // one with a colon leads elsewhere
	links := 0
	for _, file := range shipped {
		if filepath.Ext(file) != ".md" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			links++
			if to := filepath.Join(filepath.Dir(file), m[1]); !slices.Contains(shipped, to) {
				t.Errorf("%s links to %s, which is not shipped", file, to)
			}
		}
	}
	if links < 10 {
		t.Errorf("found %d links, want at least 10", links)
	}
}
