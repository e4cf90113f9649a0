package wire

import (
	"slices"
	"strings"
)

// maxPrefix keeps names well below the 255 bytes that JetStream accepts.
const maxPrefix = 32

// reserved lists the first tokens of the plain subjects. As a prefix, one of them would
// mix its subjects with the plain ones.
var reserved = []string{"fires", "fence", "dead", "attempts", "belfry", "JS"}

// PrefixAccepts says which prefixes [IsPrefix] accepts.
const PrefixAccepts = "1 to 32 letters of ASCII, digits, - and _ are accepted, the first of them a letter or a digit, as in team1; " +
	"not fires, fence, dead, attempts, belfry or JS, and nothing that begins with KV_ or OBJ_"

// IsPrefix reports whether names may begin with a prefix. The prefix is a token of a
// subject, and part of the names of streams and of a service. Answers go to subjects that
// begin with an underscore, so no prefix does. KV_ and OBJ_ begin the streams of buckets.
func IsPrefix(prefix string) bool {
	if prefix == "" || len(prefix) > maxPrefix || slices.Contains(reserved, prefix) {
		return false
	}
	for _, bucket := range []string{"KV_", "OBJ_"} {
		if strings.HasPrefix(prefix+"_", bucket) {
			return false
		}
	}
	for i, c := range []byte(prefix) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '-' && c != '_') {
			return false
		}
	}
	return true
}

// Describe names the store of these names, for humans.
func (n Names) Describe() string {
	if n == "" {
		return "without --asset-prefix"
	}
	return "--asset-prefix " + string(n)
}

// StoreOf returns the names of the store that a stream belongs to. It recognizes the
// bucket belfry, which each store has once.
func StoreOf(stream string) (n Names, ok bool) {
	if stream == n.BelfryStream() {
		return n, true
	}
	rest, ok := strings.CutPrefix(stream, BucketStream(""))
	prefix, is := strings.CutSuffix(rest, "_"+n.BelfryBucket())
	return Names(prefix), ok && is && IsPrefix(prefix)
}

// StoresIn returns the names of the stores that the streams belong to, except n's.
func (n Names) StoresIn(streams []string) (others []string) {
	for _, stream := range streams {
		if other, ok := StoreOf(stream); ok && other != n {
			others = append(others, other.Describe())
		}
	}
	slices.Sort(others)
	return slices.Compact(others)
}

// BucketNote is the note for humans beside a stream's name: the name of its bucket, if it
// has one.
func BucketNote(stream string) string {
	bucket, ok := strings.CutPrefix(stream, BucketStream(""))
	if !ok {
		return ""
	}
	return " (the bucket " + bucket + ")"
}

// IsBucket reports whether a stream is the stream of a bucket.
func IsBucket(stream string) bool { return strings.HasPrefix(stream, BucketStream("")) }
