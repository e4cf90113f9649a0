package backup

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"maps"

	"github.com/go-json-experiment/json"

	"belfry/internal/job"
)

// Reader reads a backup, compressed or not. Its entries can be trusted only once it
// has reached the end. It is for one goroutine.
type Reader struct {
	in     *bufio.Reader
	header Header
	sum    hash.Hash
	counts job.EntryCounts
	lines  int
	buf    []byte
	err    error // of the last Next, for those after it
}

// NewReader reads the first line from r. Errors that do not wrap [job.ErrBackup] come
// from r.
func NewReader(r io.Reader) (*Reader, error) {
	b := &Reader{in: bufio.NewReaderSize(r, room), sum: sha256.New(), counts: job.EntryCounts{}}
	magic, err := b.in.Peek(1)
	if err == io.EOF {
		return nil, bad("it is empty")
	}
	if err != nil {
		return nil, err
	}
	if magic[0] == 0x1f {
		zip, err := gzip.NewReader(b.in)
		if err != nil {
			return nil, damage(err)
		}
		b.in = bufio.NewReaderSize(zip, room)
	}
	first, err := b.line()
	if err != nil {
		return nil, err
	}
	var h struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
		ID      string `json:"id"`
		Made    int64  `json:"made_at"`
		Belfry  string `json:"belfry"`
	}
	switch err := json.Unmarshal(first, &h); {
	case err != nil || h.Format != format:
		return nil, bad("its first line is not that of a backup, {\"format\":%q,…}", format)
	case h.Version != Version:
		return nil, bad("its version is %d; this Belfry reads version %d", h.Version, Version)
	case h.ID == "" || len(h.ID) > job.MaxIDBytes || h.Made <= 0:
		return nil, bad("its first line has no id or made_at")
	}
	b.sum.Write(b.buf) // a Hash never returns an error
	b.header = Header{ID: h.ID, Made: h.Made, Belfry: h.Belfry}
	return b, nil
}

// Header returns the first line.
func (b *Reader) Header() Header { return b.header }

// Counts returns the counts of the entries so far.
func (b *Reader) Counts() job.EntryCounts { return maps.Clone(b.counts) }

// Next returns the next entry. The error is [io.EOF] when the backup is whole
// and nothing follows it.
func (b *Reader) Next() (job.Entry, error) {
	if b.err != nil {
		return job.Entry{}, b.err
	}
	e, err := b.next()
	b.err = err
	return e, err
}

func (b *Reader) next() (job.Entry, error) {
	data, err := b.line()
	if err == io.EOF {
		return job.Entry{}, bad("it ends after line %d, without its last line: it was cut off", b.lines)
	}
	if err != nil {
		return job.Entry{}, err
	}
	l, err := parseLine(data)
	if err != nil {
		return job.Entry{}, bad("line %d is none of a backup", b.lines)
	}
	if l.Kind == endKind {
		return job.Entry{}, b.end(l)
	}
	b.sum.Write(b.buf)
	e, err := l.entry()
	if err != nil {
		return job.Entry{}, bad("line %d: %v", b.lines, err)
	}
	b.counts[e.Kind()]++
	return e, nil
}

// end compares the entries read so far with the last line.
func (b *Reader) end(l line) error {
	sum := b.sum.Sum(nil)
	if !maps.Equal(l.Counts, b.counts) {
		return bad("its last line counts %v, and it has %v: it was altered", l.Counts, b.counts)
	}
	if l.SHA256 != hex.EncodeToString(sum) {
		return bad("its SHA-256 is %x, and its last line says another: it was altered", sum)
	}
	switch _, err := b.in.ReadByte(); {
	case err == io.EOF:
		return io.EOF
	case err != nil:
		return damage(err)
	}
	return bad("something follows its last line")
}

// line reads a line, without its newline, which the last one may lack.
func (b *Reader) line() ([]byte, error) {
	b.buf = b.buf[:0]
	for {
		part, err := b.in.ReadSlice('\n')
		if len(b.buf)+len(part) > maxLine {
			return nil, bad("line %d is longer than %d bytes", b.lines+1, maxLine)
		}
		b.buf = append(b.buf, part...)
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err == io.EOF && len(b.buf) > 0:
		case err != nil:
			return nil, damage(err)
		}
		b.lines++
		return bytes.TrimSuffix(b.buf, []byte("\n")), nil
	}
}

// damage says what is wrong with the compression. It returns other errors unchanged.
func damage(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return bad("it was cut off")
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return bad("its compression is damaged: it was cut off or altered")
	}
	return err
}
