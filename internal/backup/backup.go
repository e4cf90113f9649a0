// Package backup is the file of a backup: its lines and its checksum.
//
// The file is NDJSON in gzip, so that zcat and jq read it. The first line is a
// [Header]. Each line after it is one [job.Entry] with its kind. The last one
// counts them, and has the SHA-256 of all lines before it, their newlines
// included:
//
//	{"format":"belfry-backup","version":1,"id":"…","made_at":1667659342626,"belfry":"v1.0.0"}
//	{"kind":"job","db":"games","collection":"matches","job":{…},"status":"scheduled",…}
//	{"kind":"end","counts":{"job":1},"sha256":"…"}
//
// A file that was cut off or altered, or is of a version that is not known, is
// refused: every error about that wraps [job.ErrBackup]. Neither side holds more
// than a line of it in memory. It has secrets, and no error quotes from it.
package backup

import (
	"fmt"

	"belfry/internal/job"
)

// Version is the version that this package writes, and the only one that it reads.
const Version = 1

const format = "belfry-backup"

// maxLine is the length of the longest line, in bytes: a job with the longest
// possible meta, each byte of it escaped.
const maxLine = 32 << 20

// Header is the first line.
type Header struct {
	// ID is the backup's own id. It tells one half-restored backup from others.
	ID string

	// Made is when the backup was begun, in unix milliseconds.
	Made int64

	// Belfry is the version of the program that made the backup.
	Belfry string
}

// endKind is the kind of the last line, which is not an entry.
const endKind = "end"

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", job.ErrBackup, fmt.Sprintf(format, args...))
}
