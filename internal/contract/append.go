package contract

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/internal/job"
)

// AppendString appends s as a JSON string and escapes only what it must. Bytes that
// are not UTF-8, which a receiver's answer in a detail may have, become U+FFFD. The
// ignored error says nothing but that.
func AppendString(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}

// AppendWord appends a field after others, unless it is empty.
func AppendWord(dst []byte, name, s string) []byte {
	if s == "" {
		return dst
	}
	return AppendString(appendName(dst, name), s)
}

// AppendInt appends a field after others, unless it is 0.
func AppendInt(dst []byte, name string, n int64) []byte {
	if n == 0 {
		return dst
	}
	return strconv.AppendInt(appendName(dst, name), n, 10)
}

// AppendCounts appends an object with the counts that are not 0, in the order of
// [job.EntryKinds].
func AppendCounts(dst []byte, counts job.EntryCounts) []byte {
	dst = append(dst, '{')
	n := 0
	for _, kind := range job.EntryKinds() {
		if counts[kind] == 0 {
			continue
		}
		if n++; n > 1 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, string(kind)), ':')
		dst = strconv.AppendInt(dst, int64(counts[kind]), 10)
	}
	return append(dst, '}')
}

func appendName(dst []byte, name string) []byte {
	return append(append(append(dst, `,"`...), name...), `":`...)
}

// comma returns what precedes element i of a list that begins with open.
func comma(open byte, i int) byte {
	if i == 0 {
		return open
	}
	return ','
}
