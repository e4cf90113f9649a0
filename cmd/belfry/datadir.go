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

// errDataInUse says that another process, or another [Server] in this one, has the data
// folder.
var errDataInUse = errors.New("in use by another belfry process")

// lockFile is in the data folder and is never removed: otherwise two processes could
// lock two files.
const lockFile = "belfry.lock"

// dataDir is a data folder that belongs to this process. It remains the same folder
// wherever it is moved.
type dataDir struct {
	path   string
	root   *os.Root
	lock   *flock.Flock
	folder *os.File      // with a lock on it; nil where there are no such locks
	held   []fs.FileInfo // the folder and the lock file, as they were opened
}

// lockData makes the data folder if it is missing and takes it for this process, until
// [dataDir.unlock] or the end of the process. It locks the folder itself as well as its
// lock file, which somebody may remove.
func lockData(dir string) (*dataDir, error) {
	// Payloads are stored here, so nobody else may read them.
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

// lockFolder locks the folder itself, if the file system can do that.
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

// check returns an error if the folder or its lock file is no longer the one that was
// opened.
func (d *dataDir) check() error {
	for i, path := range []string{d.path, filepath.Join(d.path, lockFile)} {
		switch info, err := os.Stat(path); {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s was removed or moved", path)
		case err != nil: // nothing is known; the server will report what fails
		case !os.SameFile(info, d.held[i]):
			return fmt.Errorf("%s was replaced by another one", path)
		}
	}
	return nil
}
