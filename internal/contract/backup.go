package contract

import "belfry/internal/job"

// AppendRestored appends the answer to a restore: how many entries of each kind the
// backup has.
func AppendRestored(dst []byte, counts job.EntryCounts) []byte {
	dst = append(dst, `{"status":"ok","restored":`...)
	return append(AppendCounts(dst, counts), '}')
}
