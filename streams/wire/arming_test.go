package wire_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"belfry/internal/fieldtest"
	"belfry/internal/job"
	"belfry/streams/wire"
)

// storedForm is a message as text: its subject, its headers in order, its body.
func storedForm(m *nats.Msg) string {
	var b strings.Builder
	fmt.Fprintln(&b, m.Subject)
	for _, name := range slices.Sorted(maps.Keys(m.Header)) {
		for _, value := range m.Header[name] {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	return b.String() + "\n" + string(m.Data)
}

const goldenTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func goldenRecord() job.Record {
	return job.Record{
		Arming: job.Arming{
			Job: job.Job{
				Key:     job.Key{DB: "a/b", Collection: "c\n", ID: `"ü"`},
				Trigger: 1667659342626,
				Meta:    []byte(`{ "n": 1,"n":2.50 }`),
				Route:   "r 1",
				Trace:   goldenTrace,
			},
			FireID: "01HF7YAT00000000000000000A", Attempt: 3, Redriven: 1667659343333,
		},
		Reason: job.ReasonFailed, Detail: "it said no",
		Replaces: job.Position{Due: 1667659349000, Seq: 41}, Revision: 42, Op: "OPERATION",
	}
}

// A record with every field that its status can have is stored in this form. Data of
// earlier versions has these bytes.
func TestStoredRecord(t *testing.T) {
	t.Parallel()
	if unset := fieldtest.Unset(goldenRecord().Arming); len(unset) > 0 {
		t.Errorf("the example has no %v, so nothing shows that it is stored", unset)
	}
	firing, dead := goldenRecord(), goldenRecord()
	firing.Status, firing.Due, firing.Epoch, firing.FiresAfter = job.Firing, 1667659349999, 7, 123456
	dead.Status, dead.Finished, dead.Reason = job.Dead, 1667659349999, job.ReasonExhausted
	for _, tt := range []struct {
		r    job.Record
		want string
	}{
		{firing, `subject
Belfry-Attempt: 3
Belfry-Detail: it said no
Belfry-Due: 1667659349999
Belfry-Epoch: 7
Belfry-Fire-Id: 01HF7YAT00000000000000000A
Belfry-Fires-After: 123456
Belfry-Op: OPERATION
Belfry-Reason: try_failed
Belfry-Redriven: 1667659343333
Belfry-Replaces: 1667659349000:41
Belfry-Route: r=201
Belfry-Status: firing
Belfry-Trigger: 1667659342626
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01

{"id":"\"ü\"","trigger_time":1667659342626,"meta":{ "n": 1,"n":2.50 },"route":"r 1"}`},
		{dead, `subject
Belfry-Attempt: 3
Belfry-Detail: it said no
Belfry-Finished: 1667659349999
Belfry-Fire-Id: 01HF7YAT00000000000000000A
Belfry-Op: OPERATION
Belfry-Reason: attempts_exhausted
Belfry-Redriven: 1667659343333
Belfry-Replaces: 1667659349000:41
Belfry-Route: r=201
Belfry-Status: dead
Belfry-Trigger: 1667659342626
Nats-TTL: 1h0m0s
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01

{"id":"\"ü\"","trigger_time":1667659342626,"meta":{ "n": 1,"n":2.50 },"route":"r 1"}`},
	} {
		m := wire.EncodeRecord("subject", tt.r, time.Hour)
		if diff := cmp.Diff(tt.want, storedForm(m)); diff != "" {
			t.Errorf("the stored form of a %s record (-want +got):\n%s", tt.r.Status, diff)
		}
		back, err := wire.DecodeRecord(tt.r.Key, tt.r.Revision, m.Header, m.Data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.r, back); diff != "" {
			t.Errorf("a %s record is read back as (-want +got):\n%s", tt.r.Status, diff)
		}
	}
}

// A fire with every field is stored in this form.
func TestStoredFire(t *testing.T) {
	t.Parallel()
	fired, published := time.UnixMilli(1667659345678), time.UnixMilli(1667659345999)
	m := wire.Names("").EncodeFire(goldenRecord(), fired)
	const want = `fires.a=2Fb.r=201
Belfry-Attempt: 3
Belfry-Claim: 42
Belfry-Collection: c=0A
Belfry-Db: a=2Fb
Belfry-Fire-Id: 01HF7YAT00000000000000000A
Belfry-Fired: 1667659345678
Belfry-Job-Id: =22=C3=BC=22
Belfry-Redriven: 1667659343333
Belfry-Route: r=201
Belfry-Trigger-Time: 1667659342626
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
webhook-id: 01HF7YAT00000000000000000A
webhook-timestamp: 1667659345

{ "n": 1,"n":2.50 }`
	if diff := cmp.Diff(want, storedForm(m)); diff != "" {
		t.Errorf("the stored form of a fire (-want +got):\n%s", diff)
	}
	f := goldenRecord().Fire()
	f.Seq, f.Published, f.Fired = 9, published, fired
	back, err := wire.DecodeFire(m.Header, m.Data, 9, published)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f, back); diff != "" {
		t.Errorf("a fire is read back as (-want +got):\n%s", diff)
	}
}

// A dead letter with every field is stored in this form. A letter does not keep when its
// job was redriven: the next redrive sets another time.
func TestStoredLetter(t *testing.T) {
	t.Parallel()
	died := time.UnixMilli(1667659346789)
	l := job.Letter{Fire: goldenRecord().Fire(), Number: 9, Died: died, Reason: job.ReasonGone, Detail: "410 Gone"}
	m := wire.Names("").EncodeDead(l.Fire, l.Reason, l.Detail, died)
	const want = `dead.a=2Fb.r=201
Belfry-Attempt: 3
Belfry-Claim: 42
Belfry-Collection: c=0A
Belfry-Db: a=2Fb
Belfry-Detail: 410 Gone
Belfry-Fire-Id: 01HF7YAT00000000000000000A
Belfry-Job-Id: =22=C3=BC=22
Belfry-Reason: receiver_gone
Belfry-Route: r=201
Belfry-Trigger-Time: 1667659342626
Nats-Msg-Id: 01HF7YAT00000000000000000A.42
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
webhook-id: 01HF7YAT00000000000000000A
webhook-timestamp: 1667659346

{ "n": 1,"n":2.50 }`
	if diff := cmp.Diff(want, storedForm(m)); diff != "" {
		t.Errorf("the stored form of a dead letter (-want +got):\n%s", diff)
	}
	l.Redriven = 0
	back, err := wire.DecodeDead(m.Header, m.Data, 9, died)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(l, back); diff != "" {
		t.Errorf("a dead letter is read back as (-want +got):\n%s", diff)
	}
}
