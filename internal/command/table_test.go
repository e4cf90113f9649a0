package command

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTablesKeepTheirColumns(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	table := table{w: &out}
	for _, page := range [][][]string{
		{{"ID", "ROUTE", "REASON"}, {"日本", "r", ""}},
		{{"a", "a longer one", "x"}},
		{{"b", "r", "y\nz"}},
		nil,
	} {
		if err := table.print(page); err != nil {
			t.Fatal(err)
		}
	}
	const want = `ID    ROUTE  REASON
日本  r
a     a longer one  x
b     r             y�z
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
