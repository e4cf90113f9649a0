package contract_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"belfry/internal/contract"
	"belfry/internal/job"
)

const maxMeta = 1000

// sentinels are all the errors that parsing may wrap.
var sentinels = []error{
	job.ErrEmptyBody, job.ErrSyntax, job.ErrDuplicateField, job.ErrUnknownField, job.ErrMissingField,
	job.ErrFieldType, job.ErrID, job.ErrIDMismatch, job.ErrTriggerTime, job.ErrRouteType, job.ErrWebhookURL,
	job.ErrPolicy, job.ErrTooLarge, job.ErrFilter, job.ErrNoFilter,
}

// checkRefusal checks that err wraps exactly one sentinel, want, and contains says.
func checkRefusal(t *testing.T, input string, err, want error, says string) {
	t.Helper()
	if len(input) > 100 {
		input = input[:100] + "…"
	}
	for _, s := range sentinels {
		if errors.Is(err, s) != (s == want) {
			t.Errorf("%s: got error %v, want only %q wrapped", input, err, want)
		}
	}
	if err != nil && !strings.Contains(err.Error(), says) {
		t.Errorf("%s: got error %q, want %q in it", input, err, says)
	}
}

func TestParseJob(t *testing.T) {
	t.Parallel()
	coll := job.Key{DB: "db", Collection: "coll"}
	one := job.Key{DB: "db", Collection: "coll", ID: "one"}
	want := func(id, meta string) job.Job {
		return job.Job{Key: job.Key{DB: "db", Collection: "coll", ID: id}, Trigger: 1667659342626,
			Meta: []byte(meta), Route: "r"}
	}
	for _, tt := range []struct {
		body string
		key  job.Key
		want job.Job
	}{
		{`{"id":"one","trigger_time":1667659342626,"meta":{"a":1},"route":"r"}`, coll, want("one", `{"a":1}`)},
		{`{"id":"one","trigger_time":1667659342626,"meta":{"a":1},"route":"r"}`, one, want("one", `{"a":1}`)},
		{`{"trigger_time":1667659342626,"meta":{"a":1},"route":"r"}`, one, want("one", `{"a":1}`)},
		{`{"id":"one","trigger_time":1667659342626,"route":"r"}`, coll, want("one", `null`)},
		{"\n {\"route\" : \"r\",\t\"trigger_time\" : 1667659342626 ,\r\n\"id\":\"one\"} \n", coll, want("one", `null`)},
		{`{"id":"one","trigger_time":1667659342626,"route":"\u0072"}`, coll, want("one", `null`)},
		{`{"id":"a.b*c>d/e f$%2F é☎️","trigger_time":1667659342626,"route":"r"}`, coll, want("a.b*c>d/e f$%2F é☎️", `null`)},
		{`{"id":"\u0000\ud83d\ude00","trigger_time":1667659342626,"route":"r"}`, coll, want("\x00😀", `null`)},
		{`{"id":"` + strings.Repeat("é", 100) + `","trigger_time":1667659342626,"route":"r"}`, coll, want(strings.Repeat("é", 100), `null`)},
	} {
		got, err := contract.ParseJob([]byte(tt.body), tt.key, maxMeta)
		if err != nil {
			t.Errorf("ParseJob(%s): %v", tt.body, err)
		} else if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("ParseJob(%s) (-want +got):\n%s", tt.body, diff)
		}
	}
}

// metas are JSON values that a careless reader or writer would change.
var metas = []string{
	`null`, `true`, `"text"`, `0`, `-0`, `1e400`, `1.0`, `12345678901234567890123`, `[]`, `{}`, `""`,
	`{ "b" : 1,	"a":  [ ] }`, "[\n\t1,\r\n 2]",
	`"</script>&\u003c\u0041\/é"`, `"` + "\u2028\u2029\x7f" + `"`, `"\ud83d\ude00"`, `"\u0000"`,
	`{"twice":1,"twice":2}`, `{"":{"":[{}]}}`,
	strings.Repeat("[", 400) + strings.Repeat("]", 400),
	`"` + strings.Repeat("x", maxMeta-2) + `"`,
}

func TestMetaIsKeptByteForByte(t *testing.T) {
	t.Parallel()
	for _, meta := range metas {
		body := []byte(`{"id":"one","trigger_time":1667659342626,"meta":  ` + meta + " \n,\"route\":\"r\"}")
		j, err := contract.ParseJob(body, job.Key{DB: "db", Collection: "coll"}, maxMeta)
		if err != nil {
			t.Errorf("meta %s: %v", meta, err)
			continue
		}
		clear(body) // the job must not share the memory
		if string(j.Meta) != meta {
			t.Errorf("parsed meta: got %s, want %s", j.Meta, meta)
		}
		want := `{"id":"one","trigger_time":1667659342626,"meta":` + meta + `,"route":"r"}`
		if got := string(contract.AppendJob(nil, j)); got != want {
			t.Errorf("AppendJob: got %s, want %s", got, want)
		}
		if got := string(contract.AppendRecord(nil, job.Record{Arming: job.Arming{Job: j}, Status: job.Scheduled})); !strings.Contains(got, `"meta":`+meta+`,`) {
			t.Errorf("AppendRecord: got %s, want meta %s in it", got, meta)
		}
	}
}

func TestParseJobRefuses(t *testing.T) {
	t.Parallel()
	good := func(field, value string) string {
		fields := map[string]string{"id": `"one"`, "trigger_time": "1667659342626", "meta": "{}", "route": `"r"`}
		fields[field] = value
		return fmt.Sprintf(`{"id":%s,"trigger_time":%s,"meta":%s,"route":%s}`,
			fields["id"], fields["trigger_time"], fields["meta"], fields["route"])
	}
	for _, tt := range []struct {
		body string
		want error
		says string
	}{
		{``, job.ErrEmptyBody, "object"},
		{" \r\n\t", job.ErrEmptyBody, "object"},
		{`hello`, job.ErrSyntax, "byte 0"},
		{`{`, job.ErrSyntax, "ends too early"},
		{`{"id":"one`, job.ErrSyntax, "ends too early"},
		{`{"id":"one"}}`, job.ErrSyntax, "follows"},
		{`{"id":"one",}`, job.ErrSyntax, "byte 11"},
		{`{"id":"one" "route":"r"}`, job.ErrSyntax, "byte 12"},
		{`{id:"one"}`, job.ErrSyntax, "byte 1"},
		{`{1:"one"}`, job.ErrSyntax, "byte 1"},
		{`{'id':'one'}`, job.ErrSyntax, "byte 1"},
		{"\ufeff" + good("id", `"one"`), job.ErrSyntax, "byte 0"},
		{good("id", `"one"`) + good("id", `"one"`), job.ErrSyntax, "follows"},
		{good("id", `"one"`) + ` x`, job.ErrSyntax, "follows"},
		{good("id", "\"\xff\""), job.ErrSyntax, "UTF-8"},
		{good("id", `"\ud800"`), job.ErrSyntax, "surrogate"},
		{good("meta", "\"\xff\""), job.ErrSyntax, "UTF-8"},
		{good("meta", `{"secret":{"key":tru}}`), job.ErrSyntax, "byte"},
		{good("meta", `01`), job.ErrSyntax, "byte"},
		{good("meta", `NaN`), job.ErrSyntax, "byte"},
		{good("meta", ``), job.ErrSyntax, "byte"},
		{good("meta", strings.Repeat("[", 1<<20)), job.ErrSyntax, "max depth"},
		{strings.Repeat(`{"meta":`, 1<<20), job.ErrSyntax, "max depth"},

		{`null`, job.ErrFieldType, "the body is null; an object is accepted"},
		{`true`, job.ErrFieldType, "the body is a boolean"},
		{`"x"`, job.ErrFieldType, "the body is a string"},
		{`12`, job.ErrFieldType, "the body is a number"},
		{`[{}]`, job.ErrFieldType, "the body is an array"},
		{good("id", `12`), job.ErrFieldType, "id is a number; a string is accepted"},
		{good("id", `null`), job.ErrFieldType, "id is null"},
		{good("route", `{}`), job.ErrFieldType, "route is an object; a string is accepted"},
		{good("route", `[]`), job.ErrFieldType, "route is an array"},
		{good("trigger_time", `"1667659342626"`), job.ErrFieldType, "trigger_time is a string; unix milliseconds"},
		{good("trigger_time", `null`), job.ErrFieldType, "trigger_time is null"},
		{good("trigger_time", `false`), job.ErrFieldType, "trigger_time is a boolean"},

		{good("trigger_time", `1667659342626.0`), job.ErrTriggerTime, "integer literal"},
		{good("trigger_time", `1e12`), job.ErrTriggerTime, "integer literal"},
		{good("trigger_time", `1E12`), job.ErrTriggerTime, "1667659342626"},
		{good("trigger_time", `1667659342`), job.ErrTriggerTime, "seconds"},
		{good("trigger_time", `0`), job.ErrTriggerTime, "seconds"},
		{good("trigger_time", `-0`), job.ErrTriggerTime, "seconds"},
		{good("trigger_time", `-1667659342626`), job.ErrTriggerTime, "negative"},
		{good("trigger_time", `253402300800000`), job.ErrTriggerTime, "9999"},
		{good("trigger_time", `9223372036854775808`), job.ErrTriggerTime, "19 digits"},
		{good("trigger_time", `-9223372036854775809`), job.ErrTriggerTime, "19 digits"},
		{good("trigger_time", strings.Repeat("9", 5000)), job.ErrTriggerTime, "5000 digits"},

		{`{"trigger_time":1667659342626,"route":"r"}`, job.ErrMissingField, ": id; needed are id, trigger_time, route"},
		{`{"id":"one","route":"r"}`, job.ErrMissingField, ": trigger_time;"},
		{`{"id":"one","trigger_time":1667659342626}`, job.ErrMissingField, ": route;"},
		{`{}`, job.ErrMissingField, ": id;"},
		{`{"ID":"one"}`, job.ErrUnknownField, `"ID"; accepted are id, trigger_time, meta, route`},
		{`{"trigger_tme":1}`, job.ErrUnknownField, `"trigger_tme"`},
		{`{"":1}`, job.ErrUnknownField, `""`},
		{`{"` + strings.Repeat("é", 5000) + `":1}`, job.ErrUnknownField, `é"…`},
		{`{"id":"one","id":"one"}`, job.ErrDuplicateField, "id"},
		{`{"meta":1,"\u006deta":1}`, job.ErrDuplicateField, "meta"},
		{`{"status":1,"status":"dead"}`, job.ErrDuplicateField, "status"},
		{`{"status":"dead","statuses":1}`, job.ErrUnknownField, `"statuses"; accepted are id, trigger_time, meta, route`},

		{good("id", `""`), job.ErrID, "id is empty"},
		{good("id", `"`+strings.Repeat("é", 101)+`"`), job.ErrID, "id has 202 bytes"},
		{good("route", `""`), job.ErrID, "route is empty"},
		{good("route", `"`+strings.Repeat("r", 201)+`"`), job.ErrID, "route has 201 bytes"},
		{good("meta", `"`+strings.Repeat("x", maxMeta-1)+`"`), job.ErrTooLarge, "meta has 1001 bytes; up to 1000"},
	} {
		_, err := contract.ParseJob([]byte(tt.body), job.Key{DB: "db", Collection: "coll"}, maxMeta)
		checkRefusal(t, tt.body, err, tt.want, tt.says)
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("%.100s…: the error has %d bytes", tt.body, len(err.Error()))
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error quotes meta: %v", tt.body, err)
		}
	}
}

func TestParseJobKey(t *testing.T) {
	t.Parallel()
	const body = `{"id":"one","trigger_time":1667659342626,"route":"r"}`
	long := strings.Repeat("x", 201)
	for _, tt := range []struct {
		key  job.Key
		want error
		says string
	}{
		{job.Key{DB: "db", Collection: "coll", ID: "two"}, job.ErrIDMismatch, `the id "one" and is addressed by "two"`},
		{job.Key{DB: "db", Collection: "coll", ID: "ONE"}, job.ErrIDMismatch, `"ONE"`},
		{job.Key{DB: "", Collection: "coll"}, job.ErrID, "db is empty"},
		{job.Key{DB: "db", Collection: ""}, job.ErrID, "collection is empty"},
		{job.Key{DB: "\xff", Collection: "coll"}, job.ErrID, "db is not valid UTF-8"},
		{job.Key{DB: "db", Collection: long}, job.ErrID, "collection has 201 bytes"},
	} {
		_, err := contract.ParseJob([]byte(body), tt.key, maxMeta)
		checkRefusal(t, fmt.Sprintf("%s at %+v", body, tt.key), err, tt.want, tt.says)
	}
	_, err := contract.ParseJob([]byte(`{"trigger_time":1667659342626,"route":"r"}`),
		job.Key{DB: "db", Collection: "coll", ID: long}, maxMeta)
	checkRefusal(t, "a long id in the path", err, job.ErrID, "id has 201 bytes")
}

func TestAppendRecord(t *testing.T) {
	t.Parallel()
	j := job.Job{Key: job.Key{DB: "d.b", Collection: "c<ll", ID: `o"ne`}, Trigger: 1667659342626, Meta: []byte(`{ "a":1}`), Route: "r&"}
	const fields = `{"id":"o\"ne","trigger_time":1667659342626,"meta":{ "a":1},"route":"r&","db":"d.b","collection":"c<ll"`
	for _, tt := range []struct {
		r    job.Record
		want string
	}{
		{job.Record{Arming: job.Arming{Job: j, FireID: "f"}, Status: job.Scheduled, Due: j.Trigger, Revision: 7, Op: "o"},
			`,"status":"scheduled","attempt":0}`},
		{job.Record{Arming: job.Arming{Job: j, Attempt: 1}, Status: job.Firing, Due: 5, Epoch: 3, FiresAfter: 4},
			`,"status":"firing","attempt":1}`},
		{job.Record{Arming: job.Arming{Job: j, Attempt: 2}, Status: job.Retrying, Due: 1667659342999, Reason: job.ReasonFailed, Detail: "status 500"},
			`,"status":"retrying","attempt":2,"next_attempt_time":1667659342999,"reason":"try_failed","detail":"status 500"}`},
		{job.Record{Arming: job.Arming{Job: j, Attempt: 3}, Status: job.Delivered, Finished: 1667659343000},
			`,"status":"delivered","attempt":3,"finished_time":1667659343000}`},
		{job.Record{Arming: job.Arming{Job: j, Attempt: 12}, Status: job.Dead, Finished: 1667659343000, Reason: job.ReasonExhausted, Detail: "said \xff\n"},
			`,"status":"dead","attempt":12,"reason":"attempts_exhausted","detail":"said ` + "\ufffd" + `\n","finished_time":1667659343000}`},
	} {
		if got := string(contract.AppendRecord(nil, tt.r)); got != fields+tt.want {
			t.Errorf("AppendRecord of a %s job:\n got %s\nwant %s", tt.r.Status, got, fields+tt.want)
		} else if !json.Valid([]byte(got)) {
			t.Errorf("AppendRecord of a %s job is not JSON: %s", tt.r.Status, got)
		} else if back, err := contract.ParseJob([]byte(got), j.Key, maxMeta); err != nil {
			t.Errorf("ParseJob(%s): %v; an answer can be sent back", got, err)
		} else if diff := cmp.Diff(j, back); diff != "" {
			t.Errorf("ParseJob(%s) (-want +got):\n%s", got, diff)
		} else if _, err := contract.ParseStoredJob([]byte(got), j.Key, maxMeta); !errors.Is(err, job.ErrUnknownField) {
			t.Errorf("ParseStoredJob(%s): error %v; no answer is stored", got, err)
		}
	}
}

// FuzzParseJob checks that every accepted job is stored and read back as the same
// job, and that every error wraps exactly one of the sentinels.
func FuzzParseJob(f *testing.F) {
	for _, meta := range metas {
		f.Add([]byte(`{"id":"one","trigger_time":1667659342626,"meta":`+meta+`,"route":"r"}`), "db", "coll", "")
	}
	f.Add([]byte(`{"trigger_time":1667659342626,"route":"\u0000\"é"}`), "d.b", "c/ll", "o ne")
	f.Add([]byte(`{"id":"a","id":"a"} null`), "\xff", "", "a")
	f.Fuzz(func(t *testing.T, body []byte, db, collection, id string) {
		key := job.Key{DB: db, Collection: collection, ID: id}
		j, err := contract.ParseJob(body, key, maxMeta)
		if err != nil {
			checkOneSentinel(t, err)
			return
		}
		if err := j.Key.Check(); err != nil {
			t.Errorf("accepted %q at %+v: %v", body, key, err)
		}
		if !json.Valid(j.Meta) || len(j.Meta) > maxMeta {
			t.Errorf("accepted meta %q", j.Meta)
		}
		stored := contract.AppendJob(nil, j)
		again, err := contract.ParseStoredJob(stored, j.Key, maxMeta)
		if err != nil {
			t.Fatalf("ParseJob(%q), stored as %q, is not read back: %v", body, stored, err)
		}
		if diff := cmp.Diff(j, again); diff != "" {
			t.Errorf("ParseJob(%q), stored as %q, is read back as (-want +got):\n%s", body, stored, diff)
		}
	})
}

func checkOneSentinel(t *testing.T, err error) {
	t.Helper()
	var wrapped []error
	for _, s := range sentinels {
		if errors.Is(err, s) {
			wrapped = append(wrapped, s)
		}
	}
	if len(wrapped) != 1 {
		t.Errorf("error %v wraps %q, want one sentinel", err, wrapped)
	}
}

func BenchmarkJob(b *testing.B) {
	key := job.Key{DB: "db", Collection: "coll", ID: "nxz123bnj"}
	body := []byte(`{"id":"nxz123bnj","trigger_time":1667659342626,"meta":{"game":"chess","players":["ann","bob"],"note":"` +
		strings.Repeat("x", 200) + `"},"route":"gameServer"}`)
	j, err := contract.ParseJob(body, key, maxMeta)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("Parse", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			if _, err := contract.ParseJob(body, key, maxMeta); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Append", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(body)))
		var dst []byte
		for b.Loop() {
			dst = contract.AppendJob(dst[:0], j)
		}
	})
}
