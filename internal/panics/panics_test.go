package panics_test

import (
	"errors"
	"strings"
	"testing"

	"belfry/internal/logtest"
	"belfry/internal/panics"
)

func TestRecover(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		do    func()
		want  string
		lines int
	}{
		{"no panic", func() {}, "", 0},
		{"of the runtime", func() { _ = []byte("payload")[:make([]int, 9)[8]+9] }, "slice bounds out of range", 1},
		{"of a value", func() { panic("payload") }, "a string", 1},
		{"of an error", func() { panic(errors.New("payload")) }, "a *errors.errorString", 1},
	} {
		var log logtest.Log
		counted := 0
		func() {
			defer panics.Recover(log.Logger(), "the test", func() { counted++ })
			tt.do()
		}()
		text := log.String()
		if counted != tt.lines || strings.Count(text, "level=ERROR") != tt.lines || !strings.Contains(text, tt.want) {
			t.Errorf("%s: counted %d, logged %q; want %d with %q", tt.name, counted, text, tt.lines, tt.want)
		}
		if strings.Contains(text, "payload") {
			t.Errorf("%s: the log has the payload: %s", tt.name, text)
		}
		if tt.lines > 0 && !strings.Contains(text, "panics_test.go") {
			t.Errorf("%s: the log has no stack: %s", tt.name, text)
		}
	}
}
