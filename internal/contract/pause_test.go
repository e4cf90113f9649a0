package contract_test

import (
	"errors"
	"testing"

	"belfry/internal/contract"
	"belfry/internal/job"
)

func TestParsePause(t *testing.T) {
	for _, c := range []struct {
		body, path string
		id         string
		until      int64
		err        error
	}{
		{"", "r", "r", 0, nil},
		{" \n", "r", "r", 0, nil},
		{"{}", "r", "r", 0, nil},
		{`{"paused_until":4102444800000}`, "r", "r", 4102444800000, nil},
		{`{"id":"r"}`, "r", "r", 0, nil},
		{`{"id":"s"}`, "r", "", 0, job.ErrIDMismatch},
		{`{"id":"r","paused_until":4102444800000}`, "", "r", 4102444800000, nil},
		{"", "", "", 0, job.ErrEmptyBody},
		{"{}", "", "", 0, job.ErrMissingField},
		{`{"paused_until":1667659342}`, "r", "", 0, job.ErrPolicy}, // seconds
		{`{"paused_until":-1}`, "r", "", 0, job.ErrPolicy},
		{`{"paused_until":"tomorrow"}`, "r", "", 0, job.ErrFieldType},
		{`{"until":4102444800000}`, "r", "", 0, job.ErrUnknownField},
		{`[]`, "r", "", 0, job.ErrFieldType},
		{`{`, "r", "", 0, job.ErrSyntax},
	} {
		id, until, err := contract.ParsePause([]byte(c.body), c.path)
		if !errors.Is(err, c.err) || err == nil && (id != c.id || until != c.until) {
			t.Errorf("ParsePause(%q, %q) = %q, %d, %v; want %q, %d, %v", c.body, c.path, id, until, err, c.id, c.until, c.err)
		}
	}
}

func FuzzParsePause(f *testing.F) {
	for _, body := range []string{"", "{}", `{"paused_until":4102444800000}`, `{"paused_until":-1}`, "["} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		_, until, err := contract.ParsePause([]byte(body), "r")
		if err == nil && until != 0 && (until < job.MinTrigger || until > job.MaxTrigger) {
			t.Errorf("%q is read as %d", body, until)
		}
	})
}
