package storefolder

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/minio/highwayhash"
)

// Report is what the block files of a stream hold.
type Report struct {
	Last   uint64 // the highest sequence; 0 for none
	Blocks int    // how many files
	Bytes  int64  // and how large they are together
	Bad    []Bad  // what is damaged, at most one for each block
	Torn   *Bad   // an unfinished write at the very end, as a crash leaves it
	Opaque bool   // blocks are encrypted or compressed and were not looked into
}

// Bad is a place in a block file from which on nothing can be trusted. The server cuts
// the file off there.
type Bad struct {
	Path   string
	Offset int64
	Why    string

	index int // of the block
}

func (b Bad) String() string {
	return fmt.Sprintf("%s at byte %d: %s", filepath.Base(b.Path), b.Offset, b.Why)
}

// The layout of a message: its whole length, with a bit that says that it has
// headers; its sequence, with two bits for those that stand for a removed
// message; its time; the length of its subject; then the subject, the length of
// the headers if there are any, the headers and data, and a checksum.
const (
	headSize   = 22
	sumSize    = 8
	maxMessage = 32 << 20

	withHeaders = 1 << 31
	erased      = 1 << 63
	tombstone   = 1 << 62
)

// compressedMagic begins a block file that is compressed.
var compressedMagic = []byte("cmp")

// Verify reads all messages of a stream and compares their checksums. ctx can
// end it.
func Verify(ctx context.Context, dir, stream string) (Report, error) {
	all, err := blocks(dir, stream)
	if err != nil {
		return Report{}, err
	}
	r := Report{Blocks: len(all)}
	if _, err := os.Stat(filepath.Join(dir, stream, keyFile)); !errors.Is(err, fs.ErrNotExist) {
		r.Opaque = true // encrypted
		return r, nil
	}
	for i, b := range all {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		if err := r.verify(b, stream, i == len(all)-1); err != nil {
			return r, err
		}
	}
	return r, nil
}

// verify reads one block into the report.
func (r *Report) verify(b block, stream string, last bool) error {
	f, err := os.Open(b.path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	r.Bytes += info.Size()
	in := &blockReader{r: bufio.NewReaderSize(f, 1<<20), size: info.Size()}
	if magic, _ := in.r.Peek(len(compressedMagic)); bytes.Equal(magic, compressedMagic) {
		r.Opaque = true
		return nil
	}
	key := sha256.Sum256(blockKey(stream, b.index))
	if in.sum, err = highwayhash.New64(key[:]); err != nil {
		return err
	}
	for in.at < in.size {
		start := in.at
		sequence, why, err := in.message()
		if err != nil {
			return fmt.Errorf("couldn't read %s: %w", b.path, err)
		}
		if why == "" {
			r.Last = max(r.Last, sequence)
			continue
		}
		bad := Bad{b.path, start, why, b.index}
		if last && in.unfinished {
			r.Torn = &bad
		} else {
			r.Bad = append(r.Bad, bad)
		}
		return nil
	}
	return nil
}

// blockKey returns the data that the key of a block's checksums is made from.
func blockKey(stream string, index int) []byte { return fmt.Appendf(nil, "%s-%d", stream, index) }

// blockReader reads the messages of one block.
type blockReader struct {
	r    *bufio.Reader
	sum  hash.Hash64
	size int64
	at   int64
	data []byte

	unfinished bool // what is wrong is that a write did not come to its end
}

// message reads the next message. why says what is wrong with it, if anything.
func (b *blockReader) message() (sequence uint64, why string, err error) {
	var head [headSize]byte
	left := b.size - b.at
	if left < headSize {
		b.unfinished = true
		return 0, fmt.Sprintf("the last %d bytes are no message", left), nil
	}
	if _, err := io.ReadFull(b.r, head[:]); err != nil {
		return 0, "", err
	}
	length, subject, headers := layout(head[:])
	if length < least(subject, headers) || length > maxMessage {
		b.unfinished = length == 0 && b.zeros(head[:])
		return 0, fmt.Sprintf("a message cannot be %d bytes long", length), nil
	}
	if int64(length) > left {
		b.unfinished = true
		return 0, fmt.Sprintf("a message of %d bytes has %d", length, left), nil
	}
	if cap(b.data) < length {
		b.data = make([]byte, 2*length)
	}
	data := b.data[:length-headSize]
	if _, err := io.ReadFull(b.r, data); err != nil {
		return 0, "", err
	}
	b.at += int64(length)
	body, stored := data[:len(data)-sumSize], data[len(data)-sumSize:]
	if !bytes.Equal(checksum(b.sum, head[:], body, subject, headers), stored) {
		return 0, "the checksum of a message does not match", nil
	}
	return binary.LittleEndian.Uint64(head[4:]) &^ (erased | tombstone), "", nil
}

// zeros reports whether nothing but zeros follows, as a file system leaves it
// when the power fails before the data of a longer file is written.
func (b *blockReader) zeros(head []byte) bool {
	rest, err := io.ReadAll(b.r)
	return err == nil && len(bytes.Trim(head, "\x00")) == 0 && len(bytes.Trim(rest, "\x00")) == 0
}
