package wire_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/internal/job"
	"belfry/internal/natstest"
	"belfry/streams/wire"
)

// Anybody can put anything under the key of a job. A value that is read as Belfry's
// record is written back unchanged.
func FuzzDecodeRecord(f *testing.F) {
	k := job.Key{DB: "db", Collection: "c", ID: "id"}
	const value = `{"id":"id","trigger_time":1893456000000,"meta":{"a":1},"route":"r"}`
	f.Add("", value)
	f.Add("KV-Operation=DEL", "")
	for _, r := range []job.Record{
		{Arming: job.Arming{FireID: "f"}, Status: job.Scheduled, Due: 5, Op: "op"},
		{Arming: job.Arming{FireID: "f", Attempt: 3}, Status: job.Firing, Due: 5, Epoch: 7, FiresAfter: 9, Replaces: job.Position{Due: 4, Seq: 2}},
		{Arming: job.Arming{FireID: "f", Redriven: 4, Attempt: 1}, Status: job.Retrying, Due: 5},
		{Arming: job.Arming{FireID: "f"}, Status: job.Dead, Finished: 8, Reason: job.ReasonUnread, Detail: "so it was"},
	} {
		r.Job = job.Job{Key: k, Trigger: job.MinTrigger, Route: "r.1", Meta: []byte("1")}
		m := wire.EncodeRecord("s", r, time.Hour)
		f.Add(natstest.FormatHeader(m.Header), string(m.Data))
	}
	f.Fuzz(func(t *testing.T, headers, value string) {
		first, err := wire.DecodeRecord(k, 1, natstest.ParseHeader(headers), []byte(value))
		if err != nil {
			if !errors.Is(err, job.ErrNotAJob) && natstest.ParseHeader(headers).Get("KV-Operation") == "" {
				t.Errorf("%q %q: got %v, want it to wrap ErrNotAJob", headers, value, err)
			}
			return
		}
		again := func(r job.Record) job.Record {
			m := wire.EncodeRecord("s", r, time.Hour)
			got, err := wire.DecodeRecord(k, 1, m.Header, m.Data)
			if err != nil {
				t.Fatalf("%q %q is read as %+v, whose own record is not read: %v", headers, value, r, err)
			}
			return got
		}
		second := again(first)
		if diff := cmp.Diff(second, again(second)); diff != "" {
			t.Errorf("%q %q: a record changes when it is written as it was read (-before, +after):\n%s", headers, value, diff)
		}
	})
}

// Anybody with the permission can publish anything to the subjects of fires.
func FuzzDecodeFire(f *testing.F) {
	m := wire.Names("").EncodeFire(job.Record{
		Arming: job.Arming{
			Job:    job.Job{Key: job.Key{DB: "db", Collection: "c", ID: "i.d"}, Trigger: job.MinTrigger, Route: "r", Meta: []byte("1")},
			FireID: "f", Attempt: 2,
		},
		Revision: 3,
	}, time.UnixMilli(job.MinTrigger))
	f.Add(natstest.FormatHeader(m.Header), "1")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, headers, value string) {
		got, err := wire.DecodeFire(natstest.ParseHeader(headers), []byte(value), 1, time.Time{})
		if err == nil && (got.Key.Check() != nil || got.FireID == "" || got.Claim == 0 || got.Attempt < 0 || got.Trigger < 0) {
			t.Errorf("%q is read as %+v", headers, got)
		}
	})
}
