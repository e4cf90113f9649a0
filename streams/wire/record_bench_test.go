package wire

import (
	"fmt"
	"testing"
	"time"

	"belfry/internal/job"
)

var claimedAt = time.UnixMilli(1_700_000_000_000)

// claimedBench returns a record with all the headers that it can have while it fires, and
// 200 bytes of meta.
func claimedBench() job.Record {
	r := job.Record{Status: job.Scheduled, Due: claimedAt.UnixMilli(), Revision: 12345}
	r.Key, r.Trigger, r.Route = job.Key{DB: "db", Collection: "c", ID: "job-12345"}, claimedAt.UnixMilli(), "r"
	r.Meta = fmt.Appendf(nil, `{"n":1,"text":"%0185d"}`, 0)
	r.FireID = "01HF7YAT00000000000000000A"
	claim := r.Claim(claimedAt, 7, 123456, time.Hour, "OPERATIONOPERATIONOPERATIO")
	claim.Revision = 12346
	return claim
}

func BenchmarkEncodeRecord(b *testing.B) {
	r := claimedBench()
	b.ReportAllocs()
	for b.Loop() {
		EncodeRecord(Names("").JobSubject(0, r.Key), r, time.Hour)
	}
}

func BenchmarkDecodeRecord(b *testing.B) {
	r := claimedBench()
	m := EncodeRecord(Names("").JobSubject(0, r.Key), r, time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeRecord(r.Key, r.Revision, m.Header, m.Data); err != nil {
			b.Fatal(err)
		}
	}
}

// The tail does this with each message.
func BenchmarkDecodeHeaders(b *testing.B) {
	r := claimedBench()
	m := EncodeRecord(Names("").JobSubject(0, r.Key), r, time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := DecodeHeaders(r.Key, r.Revision, m.Header); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeFire(b *testing.B) {
	r := claimedBench()
	b.ReportAllocs()
	for b.Loop() {
		Names("").EncodeFire(r, claimedAt)
	}
}

func BenchmarkDecodeFire(b *testing.B) {
	m := Names("").EncodeFire(claimedBench(), claimedAt)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeFire(m.Header, m.Data, 1, claimedAt); err != nil {
			b.Fatal(err)
		}
	}
}
