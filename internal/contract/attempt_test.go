package contract_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/internal/contract"
	"belfry/internal/job"
)

func TestAttempts(t *testing.T) {
	full := job.Attempt{
		Number: 2, FireID: "fire", Started: time.UnixMilli(1667659342626), Duration: 12345 * time.Microsecond,
		Lateness: 800 * time.Microsecond, Status: 500, Error: "status 500", Response: []byte("a\xffb"),
	}
	none := job.Attempt{Number: 1, FireID: "fire", Started: time.UnixMilli(5), Error: "connection refused"}
	got := string(contract.AppendAttempts(nil, []job.Attempt{none, full}))
	want := `{"attempts":[{"attempt":1,"webhook_id":"fire","started_time":5,"duration_ms":0,"lateness_ms":0,"error":"connection refused"},` +
		`{"attempt":2,"webhook_id":"fire","started_time":1667659342626,"duration_ms":12.345,"lateness_ms":0.8,"status":500,"error":"status 500","response":"a` + "\ufffd" + `b"}]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(contract.AppendAttempts(nil, nil)); got != `{"attempts":[]}` {
		t.Errorf("no attempts are %s", got)
	}
	full.Response = []byte("a\ufffdb")
	for _, a := range []job.Attempt{none, full} {
		again, err := contract.ParseAttempt(contract.AppendAttempt(nil, a))
		if diff := cmp.Diff(a, again); err != nil || diff != "" {
			t.Errorf("read back, %v (-want +got):\n%s", err, diff)
		}
	}
	for _, bad := range []string{``, `{}`, `[]`, `{"attempt":"1"}`, `{"attempt":1,"webhook_id":"f","started_time":1,"duration_ms":true,"lateness_ms":1}`} {
		if a, err := contract.ParseAttempt([]byte(bad)); err == nil {
			t.Errorf("%s is read as %+v", bad, a)
		}
	}
}

func FuzzParseAttempt(f *testing.F) {
	f.Add([]byte(`{"attempt":2,"webhook_id":"fire","started_time":1667659342626,"duration_ms":12.345,"lateness_ms":0.8,"status":500,"error":"e","response":"r"}`))
	f.Add([]byte(`{"attempt":1,"webhook_id":"","started_time":-1,"duration_ms":1e300,"lateness_ms":-0}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := contract.ParseAttempt(data)
		if err != nil {
			return
		}
		if out := contract.AppendAttempt(nil, a); !json.Valid(out) {
			t.Errorf("%s becomes %s", data, out)
		}
	})
}
