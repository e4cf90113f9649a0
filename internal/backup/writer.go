package backup

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strconv"

	"belfry/internal/contract"
	"belfry/internal/job"
)

// Writer writes a backup. It is for one goroutine.
type Writer struct {
	out    *bufio.Writer
	zip    *gzip.Writer
	sum    hash.Hash
	counts job.EntryCounts
	line   []byte
}

// room is how many bytes are held back before they are written, so that a writer that
// fails at once has written nothing.
const room = 64 << 10

// NewWriter begins a backup on w.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	b := &Writer{out: bufio.NewWriterSize(w, room), sum: sha256.New(), counts: job.EntryCounts{}}
	var err error
	// The fastest level is enough: most of the gain is in the names of the fields.
	if b.zip, err = gzip.NewWriterLevel(b.out, gzip.BestSpeed); err != nil {
		return nil, err
	}
	b.line = contract.AppendString(append(b.line, `{"format":`...), format)
	b.line = strconv.AppendInt(append(b.line, `,"version":`...), Version, 10)
	b.line = contract.AppendString(append(b.line, `,"id":`...), h.ID)
	b.line = strconv.AppendInt(append(b.line, `,"made_at":`...), h.Made, 10)
	b.line = contract.AppendString(append(b.line, `,"belfry":`...), h.Belfry)
	return b, b.endLine()
}

// Write adds an entry. After an error the backup must be thrown away.
func (b *Writer) Write(e job.Entry) error {
	b.line = appendEntry(b.line[:0], e)
	if len(b.line) >= maxLine {
		return fmt.Errorf("an entry of kind %s has %d bytes; a backup takes up to %d", e.Kind(), len(b.line), maxLine)
	}
	b.counts[e.Kind()]++
	return b.endLine()
}

// Close adds the last line and flushes; it leaves the underlying writer open.
func (b *Writer) Close() error {
	sum := b.sum.Sum(nil)
	b.line = append(append(b.line[:0], `{"kind":"`...), endKind...)
	b.line = contract.AppendCounts(append(b.line, `","counts":`...), b.counts)
	b.line = contract.AppendWord(b.line, "sha256", hex.EncodeToString(sum))
	if err := b.endLine(); err != nil {
		return err
	}
	if err := b.zip.Close(); err != nil {
		return err
	}
	return b.out.Flush()
}

// Counts returns the counts of the entries so far.
func (b *Writer) Counts() job.EntryCounts { return b.counts }

// endLine writes the line, whose object is still open.
func (b *Writer) endLine() error {
	b.line = append(b.line, '}', '\n')
	b.sum.Write(b.line) // a Hash never returns an error
	_, err := b.zip.Write(b.line)
	return err
}
