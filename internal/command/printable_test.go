package command

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// FuzzHarmless checks that harmless returns the same JSON, on one line.
func FuzzHarmless(f *testing.F) {
	for _, s := range []string{`{"a":[1, "é"]}`, "{\n\"a\":\t1}", "\"\x7f\u009b\u202e\"", "\"\U000e0001\"", `"\u001b"`, "\"\u2028\"", "\"\xff\"", "\"\x9b2J\"", "\"\ufffd\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) {
			return
		}
		got := harmless(data)
		// A terminal may read single bytes, and the byte 0x9b is a control character.
		if !utf8.Valid(got) {
			t.Errorf("%q became %q, which is no UTF-8", data, got)
		}
		if i := strings.IndexFunc(string(got), func(c rune) bool { return !unicode.IsGraphic(c) }); i >= 0 {
			t.Errorf("%q became %q, with a character that a terminal may obey", data, got)
		}
		var want, is any
		if err := json.Unmarshal(data, &want); err != nil {
			return // a number too large to compare
		}
		if err := json.Unmarshal(got, &is); err != nil || !cmp.Equal(want, is) {
			t.Errorf("%q became %q (%v), which is not the same", data, got, err)
		}
	})
}
