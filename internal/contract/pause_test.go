package contract_test

import (
	"errors"
	"testing"

	"belfry/internal/contract"
	"belfry/internal/job"
)

func TestParsePause(t *testing.T) {
	for _, c := range []struct {
		body  string
		until int64
		err   error
	}{
		{"", 0, nil},
		{" \n", 0, nil},
		{"{}", 0, nil},
		{`{"paused_until":4102444800000}`, 4102444800000, nil},
		{`{"paused_until":1667659342}`, 0, job.ErrPolicy}, // seconds
		{`{"paused_until":-1}`, 0, job.ErrPolicy},
		{`{"paused_until":"tomorrow"}`, 0, job.ErrFieldType},
		{`{"until":4102444800000}`, 0, job.ErrUnknownField},
		{`[]`, 0, job.ErrFieldType},
		{`{`, 0, job.ErrSyntax},
	} {
		until, err := contract.ParsePause([]byte(c.body))
		if !errors.Is(err, c.err) || err == nil && until != c.until {
			t.Errorf("ParsePause(%q) = %d, %v; want %d, %v", c.body, until, err, c.until, c.err)
		}
	}
}

func FuzzParsePause(f *testing.F) {
	for _, body := range []string{"", "{}", `{"paused_until":4102444800000}`, `{"paused_until":-1}`, "["} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		until, err := contract.ParsePause([]byte(body))
		if err == nil && until != 0 && (until < job.MinTrigger || until > job.MaxTrigger) {
			t.Errorf("%q is read as %d", body, until)
		}
	})
}
