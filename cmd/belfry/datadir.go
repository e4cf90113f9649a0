package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gofrs/flock"
)

// errDataInUse: another process, or another [Server] of this one, has the data
// folder.
var errDataInUse = errors.New("in use by another belfry process")

// lockFile stands in the data folder and is never removed: two processes could
// lock two files.
const lockFile = "belfry.lock"

// dataDir is a data folder that belongs to this process. It stays that folder
// wherever it is moved.
type dataDir struct {
	path   string
	root   *os.Root
	lock   *flock.Flock
	folder *os.File      // with a lock on it; nil where there are no such locks
	held   []fs.FileInfo // the folder and the lock file, as they were opened
}

// lockData makes the data folder if it is missing and takes it for this
// process, until [dataDir.unlock] or the end of the process. The folder itself is
// locked as well as its lock file, which somebody may remove.
func lockData(dir string) (*dataDir, error) {
	// Payloads are stored here: nobody else needs to read them.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("couldn't make the data folder %q: %w", dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("couldn't open the data folder %q: %w", dir, err)
	}
	d := &dataDir{path: dir, root: root, lock: flock.New(filepath.Join(dir, lockFile))}
	locked, err := d.lock.TryLock()
	if err == nil && locked {
		locked, err = d.lockFolder()
	}
	if err == nil && locked {
		err = d.remember()
	}
	switch {
	case err != nil:
		return nil, errors.Join(fmt.Errorf("couldn't write to the data folder %q: %w", dir, err), d.unlock())
	case !locked:
		return nil, errors.Join(fmt.Errorf("the data folder %q is %w", dir, errDataInUse), d.unlock())
	}
	return d, nil
}

// lockFolder locks the folder itself, where the file system can do that.
func (d *dataDir) lockFolder() (bool, error) {
	folder, err := d.root.Open(".")
	if err != nil {
		return false, err
	}
	err = syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, folder.Close()
	}
	d.folder = folder
	return true, nil
}

func (d *dataDir) remember() error {
	for _, name := range []string{".", lockFile} {
		info, err := d.root.Stat(name)
		if err != nil {
			return err
		}
		d.held = append(d.held, info)
	}
	return nil
}

// unlock gives the folder back.
func (d *dataDir) unlock() error {
	err := errors.Join(d.lock.Unlock(), d.root.Close())
	if d.folder != nil {
		err = errors.Join(err, d.folder.Close())
	}
	return err
}

// check says what has become of the folder, if it or its lock file is not what
// was opened.
func (d *dataDir) check() error {
	for i, path := range []string{d.path, filepath.Join(d.path, lockFile)} {
		switch info, err := os.Stat(path); {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s was removed or moved", path)
		case err != nil: // nothing is known; the server will say what it cannot do
		case !os.SameFile(info, d.held[i]):
			return fmt.Errorf("%s was replaced by another one", path)
		}
	}
	return nil
}
