package contract

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/internal/job"
)

// Bulk reads many objects from one body, one after the other. The body is a JSON
// array of objects, or NDJSON with one object on each line that is not blank; the
// first character tells which. Bulk holds one object in memory.
type Bulk struct {
	// Grow is called once an object turns out to be longer than [BulkSmall], before
	// more of it is read. An error from Grow ends the reading. A nil Grow is never
	// called.
	Grow func() error

	in     *bufio.Reader
	limit  int
	dec    *jsontext.Decoder // of an array
	began  bool
	number int
}

// BulkSmall is the length of the longest object that fits in the memory that every
// bulk has.
const BulkSmall = 64 << 10

// NewBulk reads from r objects of up to limit bytes each.
func NewBulk(r io.Reader, limit int) *Bulk {
	return &Bulk{in: bufio.NewReaderSize(r, BulkSmall), limit: limit}
}

// Next returns the next object, not parsed yet, in memory of its own, and its number
// from 1: the line in NDJSON, or the place in an array. At the end the error is
// [io.EOF].
//
// Other errors wrap a sentinel of package job, or come from the reader. more says
// that only this object is lost, for example because its line of NDJSON is too long,
// and that the next one can be read.
func (b *Bulk) Next() (object []byte, number int, more bool, err error) {
	if !b.began {
		if err := b.begin(); err != nil {
			return nil, b.number, false, err
		}
	}
	if b.dec != nil {
		object, err = b.element()
		return object, b.number, err == nil, err
	}
	for {
		object, err = b.line()
		if len(bytes.TrimSpace(object)) > 0 || err != nil {
			return object, b.number, err == nil || errors.Is(err, job.ErrTooLarge), err
		}
	}
}

// begin finds out whether the body is an array or NDJSON.
func (b *Bulk) begin() error {
	b.began = true
	if mark, err := b.in.Peek(len(byteOrderMark)); err == nil && bytes.Equal(mark, byteOrderMark) {
		return errMark
	}
	for range b.limit {
		c, err := b.in.ReadByte()
		switch {
		case err == io.EOF:
			return fmt.Errorf("%w; a JSON array or NDJSON is accepted", job.ErrEmptyBody)
		case err != nil:
			return err
		case c == '\n':
			b.number++
		case c == ' ' || c == '\t' || c == '\r':
		default:
			if err := b.in.UnreadByte(); err != nil || c != '[' {
				return err
			}
			b.number = 0
			guarded := &guard{in: b.in, limit: int64(b.limit), grow: b.grow}
			// Names are checked later, as in readObject.
			b.dec = jsontext.NewDecoder(guarded, jsontext.AllowDuplicateNames(true))
			guarded.dec = b.dec
			_, err := b.dec.ReadToken()
			return err
		}
	}
	return fmt.Errorf("%w: it begins with more than %d bytes of white space", job.ErrTooLarge, b.limit)
}

// element reads the next element of the array. After the last one it reads what
// follows.
func (b *Bulk) element() ([]byte, error) {
	b.number++
	if b.dec.PeekKind() == ']' {
		if _, err := b.dec.ReadToken(); err != nil {
			return nil, arrayError(err)
		}
		switch _, err := b.dec.ReadToken(); {
		case err == io.EOF:
			return nil, io.EOF
		case err != nil:
			return nil, arrayError(err)
		}
		return nil, fmt.Errorf("%w: something follows the array after byte %d", job.ErrSyntax, b.dec.InputOffset())
	}
	value, err := b.dec.ReadValue()
	switch {
	case err == io.EOF:
		return nil, syntaxError(io.ErrUnexpectedEOF)
	case err != nil:
		return nil, arrayError(err)
	case len(value) > b.limit:
		return nil, b.tooLarge()
	}
	return bytes.Clone(value), nil
}

// arrayError leaves the reader's errors unchanged.
func arrayError(err error) error {
	var at *jsontext.SyntacticError
	if errors.As(err, &at) || errors.Is(err, io.ErrUnexpectedEOF) {
		return syntaxError(err)
	}
	return err
}

// line reads a line of NDJSON. If the line is too long, it still reads to the line's
// end.
func (b *Bulk) line() ([]byte, error) {
	var line []byte
	over := false
	for {
		part, err := b.in.ReadSlice('\n')
		if len(line) > 0 && !over { // it is longer than the buffer
			if err := b.grow(); err != nil {
				return nil, err
			}
		}
		if len(line)+len(part) > b.limit+len("\r\n") {
			line, over = nil, true
		} else if !over {
			line = append(line, part...)
		}
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err == io.EOF && (len(line) > 0 || over):
		case err != nil:
			return nil, err
		}
		b.number++
		if over {
			return nil, b.tooLarge()
		}
		return line, nil
	}
}

func (b *Bulk) grow() error {
	if b.Grow == nil {
		return nil
	}
	return b.Grow()
}

func (b *Bulk) tooLarge() error {
	return fmt.Errorf("%w: it has more than %d bytes", job.ErrTooLarge, b.limit)
}

// guard ends the reading of an element that is too long.
type guard struct {
	in    io.Reader
	dec   *jsontext.Decoder
	read  int64
	limit int64
	grow  func() error
}

func (g *guard) Read(p []byte) (int, error) {
	if g.read-g.dec.InputOffset() > g.limit {
		return 0, fmt.Errorf("%w: an element has more than %d bytes", job.ErrTooLarge, g.limit)
	}
	if g.read-g.dec.InputOffset() >= BulkSmall {
		if err := g.grow(); err != nil {
			return 0, err
		}
	}
	n, err := g.in.Read(p)
	g.read += int64(n)
	return n, err
}

// AppendCreated appends the answer for one object of a bulk that was created: its
// number as line, its id, and that it was created.
func AppendCreated(dst []byte, number int, id string) []byte {
	dst = strconv.AppendInt(append(dst, `{"line":`...), int64(number), 10)
	return append(AppendString(append(dst, `,"id":`...), id), `,"status":"ok"}`...)
}

// AppendNotCreated appends the answer for one object of a bulk that was refused: its
// number as line, its id if one could be read, a reason for humans and a
// machine-readable code.
func AppendNotCreated(dst []byte, number int, id, reason, code string) []byte {
	dst = strconv.AppendInt(append(dst, `{"line":`...), int64(number), 10)
	dst = AppendWord(dst, "id", id)
	dst = AppendString(append(dst, `,"error":`...), reason)
	return append(AppendString(append(dst, `,"code":`...), code), '}')
}
