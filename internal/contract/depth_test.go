package contract_test

import (
	"errors"
	"strings"
	"testing"

	"belfry/internal/contract"
	"belfry/internal/job"
)

// nested returns a JSON value of the given depth, arrays and objects in turn.
func nested(depth int) string {
	open, end := strings.Repeat(`[{"a":`, depth/2), strings.Repeat(`}]`, depth/2)
	if depth%2 == 1 {
		open, end = open+"[", "]"+end
	} else {
		open += `"]}\"[{"`
	}
	return open + end
}

func TestDepth(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]int{
		`1`: 0, `"[[["`: 0, `"\"[[\\"`: 0, `"\\\""`: 0, `[]`: 1, `[1,[2],{"a":{}}]`: 3, `{"[":"{"}`: 1, `["\\",[]]`: 2,
		nested(4): 4, nested(4999): 4999, `"`: 0, `"\`: 0, `]]]`: 0, ``: 0,
	} {
		if got := contract.Depth([]byte(value)); got != want {
			t.Errorf("Depth(%.40s) = %d, want %d", value, got, want)
		}
	}
}

// The same depth of meta is accepted in every form of request, and the next depth is
// refused with both numbers.
func TestDepthOfMeta(t *testing.T) {
	t.Parallel()
	key := job.Key{DB: "db", Collection: "coll", ID: "one"}
	parse := map[string]func(string) error{
		"ParseJob": func(meta string) error {
			_, err := contract.ParseJob([]byte(`{"trigger_time":1667659342626,"meta":`+meta+`,"route":"r"}`), key, 1<<20)
			return err
		},
		"ParsePutJob": func(meta string) error {
			_, err := contract.ParsePutJob([]byte(`{"trigger_time":1667659342626,"meta":`+meta+`,"route":"r"}`), key, 1<<20)
			return err
		},
		"Bulk": func(meta string) error {
			object, _, _, err := contract.NewBulk(strings.NewReader(`[{"trigger_time":1667659342626,"meta":`+meta+`,"route":"r"}]`), 1<<20).Next()
			if err == nil {
				_, err = contract.ParseJob(object, key, 1<<20)
			}
			return err
		},
	}
	for name, parse := range parse {
		if err := parse(nested(job.MaxMetaDepth)); err != nil {
			t.Errorf("%s of a meta at the limit: %v", name, err)
		}
		err := parse(nested(job.MaxMetaDepth + 1))
		if want := "meta is nested 5001 deep; a depth of up to 5000 is accepted"; !errors.Is(err, job.ErrSyntax) || err.Error() != want {
			t.Errorf("%s of a meta beyond the limit: %v, want %s", name, err, want)
		}
	}
	// Earlier versions have stored metas of this depth.
	value := contract.AppendJob(nil, job.Job{Key: key, Trigger: 1667659342626, Meta: []byte(nested(9999)), Route: "r"})
	if j, err := contract.ParseStoredJob(value, key, 1<<20); err != nil || string(j.Meta) != nested(9999) {
		t.Errorf("ParseStoredJob of a meta that is 9,999 deep: %v", err)
	}
}

func TestCutMember(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ object, rest, value string }{
		{`{"job":{"a":[1,{}]},"b":1}`, `{"job":null,"b":1}`, `{"a":[1,{}]}`},
		{`{"b":{"job":1},"job":[2]}`, `{"b":{"job":1},"job":null}`, `[2]`},
		{`{"b":"job","c":"\"job\":","job":"}]","d":2}`, `{"b":"job","c":"\"job\":","job":null,"d":2}`, `"}]"`},
		{`{"job":3}`, `{"job":null}`, `3`},
		{`{"a":1}`, ``, ``},
		{`{"job":`, ``, ``},
		{`"job":`, ``, ``},
		{``, ``, ``},
	} {
		rest, value, ok := contract.CutMember([]byte(tt.object), "job")
		if string(rest) != tt.rest || string(value) != tt.value || ok != (tt.rest != "") {
			t.Errorf("CutMember(%s) = %s, %s, %v; want %s and %s", tt.object, rest, value, ok, tt.rest, tt.value)
		}
	}
}

// A route that is accepted can be sent again as it is shown.
func TestRouteIsNoLongerThanItsAnswer(t *testing.T) {
	t.Parallel()
	key := job.RouteKey{DB: "db", ID: "r"}
	body := func(n int) []byte {
		head := `{"id":"r","type":"REST","webhook_url":"http://h/`
		const tail = `","retry":{"max_attempts":3}}`
		return []byte(head + strings.Repeat("x", n-len(head)-len(tail)) + tail)
	}
	longest := 0
	for n := job.MaxRouteBytes; n > job.MaxRouteBytes-300; n-- {
		r, err := contract.ParseRoute(body(n), key)
		if errors.Is(err, job.ErrTooLarge) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if longest == 0 {
			longest = n
		}
		shown := contract.AppendRouteAnswer(nil, r)
		if _, err := contract.ParseRoute(shown, key); err != nil || len(shown) > job.MaxRouteBytes {
			t.Fatalf("a route of %d bytes is shown in %d, which are refused: %v", n, len(shown), err)
		}
	}
	if longest == 0 || longest == job.MaxRouteBytes {
		t.Errorf("the longest body that is accepted has %d bytes, want less than %d, since its defaults are shown", longest, job.MaxRouteBytes)
	}
}
