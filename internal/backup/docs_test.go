package backup

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"belfry/internal/job"
)

// docs/backup.md has every kind and field of a line.
func TestDocumented(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile("../../docs/backup.md")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{endKind}
	for _, kind := range job.EntryKinds() {
		names = append(names, string(kind))
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[line]()) {
		if !f.Anonymous {
			names = append(names, f.Tag.Get("json"))
		}
	}
	for _, name := range names {
		if !strings.Contains(string(docs), "`"+name+"`") {
			t.Errorf("docs/backup.md does not mention `%s`", name)
		}
	}
}
