package storefolder

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/minio/highwayhash"
)

// indexFile is the server's index of the blocks. Without it the server reads the
// blocks.
const indexFile = "index.db"

// Repair leaves only whole messages in a damaged block of a stream, and returns how
// many bytes it dropped. Without it the server would cut the block off at the first
// bad message. Keep a copy first; see [Bad.Copy].
func (b Bad) Repair(dir, stream string) (dropped int, err error) {
	data, err := os.ReadFile(b.Path)
	if err != nil {
		return 0, err
	}
	whole, err := wholeMessages(data, stream, b.index)
	if err != nil {
		return 0, err
	}
	index := filepath.Join(dir, stream, messages, indexFile)
	if err := os.Remove(index); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	return len(data) - len(whole), Replace(b.Path, whole)
}

// wholeMessages returns the messages of a block whose checksums match.
func wholeMessages(data []byte, stream string, index int) ([]byte, error) {
	key := sha256.Sum256(blockKey(stream, index))
	sum, err := highwayhash.New64(key[:])
	if err != nil {
		return nil, err
	}
	var whole []byte
	for at := 0; at < len(data); {
		n := wholeMessage(sum, data[at:])
		if n == 0 {
			at++ // the next one may begin anywhere, since the length may be wrong
			continue
		}
		whole = append(whole, data[at:at+n]...)
		at += n
	}
	return whole, nil
}

// wholeMessage returns the length of the message at the start of data, or 0 if there
// is no whole message.
func wholeMessage(sum hash.Hash64, data []byte) int {
	if len(data) < headSize+sumSize {
		return 0
	}
	length, subject, headers := layout(data)
	if length < least(subject, headers) || length > min(maxMessage, len(data)) {
		return 0
	}
	body, stored := data[headSize:length-sumSize], data[length-sumSize:length]
	if !bytes.Equal(checksum(sum, data[:headSize], body, subject, headers), stored) {
		return 0
	}
	return length
}

// layout reads the head of a message.
func layout(head []byte) (length, subject int, headers bool) {
	first := binary.LittleEndian.Uint32(head[0:])
	return int(first &^ withHeaders), int(binary.LittleEndian.Uint16(head[20:])), first&withHeaders != 0
}

// least is the length of the shortest message with such a subject.
func least(subject int, headers bool) int {
	n := headSize + subject + sumSize
	if headers {
		n += 4
	}
	return n
}

// checksum returns the checksum of a message. body is everything between the head and
// the checksum.
func checksum(sum hash.Hash64, head, body []byte, subject int, headers bool) []byte {
	sum.Reset()
	sum.Write(head[4:20])
	sum.Write(body[:subject])
	if headers {
		subject += 4 // the length of the headers is not part of it
	}
	sum.Write(body[subject:])
	return sum.Sum(nil)
}

// Replace writes a file anew, durably, either whole or not at all.
func Replace(path string, data []byte) error {
	dir := filepath.Dir(path)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return ReplaceIn(root, filepath.Base(path), data)
}

// ReplaceIn is [Replace] in an open folder, even if the folder has been moved since.
func ReplaceIn(root *os.Root, name string, data []byte) error {
	const end = ".new"
	f, err := root.OpenFile(name+end, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, root.Remove(name+end))
	}
	if err := root.Rename(name+end, name); err != nil {
		return err
	}
	folder, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
