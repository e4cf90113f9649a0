package main

import (
	"os"
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
