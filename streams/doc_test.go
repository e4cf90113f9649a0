package streams_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The package comment names the packages below, and says what each is for.
func TestDocNamesEachRoom(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, m := range regexp.MustCompile(`([a-z]+)\s+(?://\s+)?\(`).FindAllSubmatch(doc, -1) {
		told = append(told, string(m[1]))
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var rooms []string
	for _, e := range entries {
		if e.IsDir() && e.Name() != "model" && e.Name() != "testdata" { // not a package that this one builds on
			rooms = append(rooms, e.Name())
		}
	}
	slices.Sort(told)
	slices.Sort(rooms)
	if d := cmp.Diff(rooms, told); d != "" {
		t.Errorf("the packages below, and those that doc.go names (-there +named):\n%s", d)
	}
}
