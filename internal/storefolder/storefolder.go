// Package storefolder looks after the folder in which an embedded nats-server
// keeps the streams of an account: a folder for each stream, with its messages
// in block files.
//
// It works on the folder while no server runs on it. It finds out what the
// server could not read, it finds damaged messages before the server cuts them
// off, and it keeps a second link to every file: a server that cannot recover a
// stream removes the stream's folder.
package storefolder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The names of a nats-server's file store.
const (
	messages   = "msgs"
	consumers  = "obs"
	keyFile    = "meta.key"
	blockEnd   = ".blk"
	deletedDot = "." // begins the name of a folder that the server is removing
)

// Path is the folder of the streams of the global account, below the server's
// store_dir.
func Path(storeDir string) string {
	return filepath.Join(storeDir, "jetstream", "$G", "streams")
}

// Streams returns the names of the streams that have a folder in dir. A dir that does
// not exist has none.
func Streams(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), deletedDot) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Check opens each file of a stream as the server does, to read and to write it, and
// returns the error of the first that cannot be opened. Files of consumers don't
// count: a consumer can be created again.
func Check(dir, stream string) error {
	top := filepath.Join(dir, stream)
	return filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && path == filepath.Join(top, consumers):
			return fs.SkipDir
		case e.IsDir() && !strings.HasSuffix(path, blockEnd):
			return checkFolder(path)
		case !e.Type().IsRegular():
			return fmt.Errorf("%s is no regular file", path)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		return f.Close()
	})
}

// BadConsumers returns the consumers of a stream whose files cannot be opened, with
// the errors.
func BadConsumers(dir, stream string) (map[string]error, error) {
	top := filepath.Join(dir, stream, consumers)
	names, err := Streams(top)
	if err != nil {
		return nil, err
	}
	bad := map[string]error{}
	for _, name := range names {
		if err := Check(top, name); err != nil {
			bad[name] = err
		}
	}
	return bad, nil
}

// SetConsumerAside moves the files of a consumer to the path to.
func SetConsumerAside(dir, stream, consumer, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.Rename(filepath.Join(dir, stream, consumers, consumer), to)
}

// checkFolder makes a file in a folder and removes it again, as the server does
// in each stream's folder before it reads it.
func checkFolder(path string) error {
	f, err := os.CreateTemp(path, "_check_")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// block is a file of messages.
type block struct {
	path  string
	index int
}

// blocks returns the block files of a stream in their order.
func blocks(dir, stream string) ([]block, error) {
	folder := filepath.Join(dir, stream, messages)
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []block
	for _, e := range entries {
		var index int
		if _, err := fmt.Sscanf(e.Name(), "%d"+blockEnd, &index); err == nil && e.Name() == fmt.Sprint(index, blockEnd) {
			all = append(all, block{filepath.Join(folder, e.Name()), index})
		}
	}
	slices.SortFunc(all, func(a, b block) int { return a.index - b.index })
	return all, nil
}

// HasFiles reports whether a stream has a place for its messages, and its
// configuration.
func HasFiles(dir, stream string) bool {
	for _, part := range []string{messages, "meta.inf"} {
		if _, err := os.Stat(filepath.Join(dir, stream, part)); err != nil {
			return false
		}
	}
	return true
}
