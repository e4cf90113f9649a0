package contract

import (
	"strconv"

	"belfry/internal/job"
)

// AppendRestored appends the answer to a restore: how many entries of each kind
// the backup has.
func AppendRestored(dst []byte, counts job.EntryCounts) []byte {
	dst = append(dst, `{"status":"ok","restored":{`...)
	first := true
	for _, kind := range job.EntryKinds() {
		if counts[kind] == 0 {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(appendString(dst, string(kind)), ':')
		dst = strconv.AppendInt(dst, int64(counts[kind]), 10)
	}
	return append(dst, '}', '}')
}
