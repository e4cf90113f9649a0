package wire

import (
	"testing"

	"belfry/internal/job"
)

// benchKeys are a key that needs no escaping, as most do, and one that does.
var benchKeys = map[string]job.Key{
	"plain":   {DB: "game", Collection: "matches", ID: "nxz123bnj-4711"},
	"escaped": {DB: "spiel", Collection: "größe", ID: "user@example.com/7 öäü"},
}

func BenchmarkJobSubject(b *testing.B) {
	for name, k := range benchKeys {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Names("").JobSubject(PartitionOf(k, 8), k)
			}
		})
	}
}

func BenchmarkParseJobKey(b *testing.B) {
	for name, k := range benchKeys {
		key := Names("").JobSubject(0, k)[len(Names("").JobsPrefix(0)):]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseJobKey(key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
