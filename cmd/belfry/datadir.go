package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// errDataInUse: another process, or another [Server] of this one, has the data
// folder.
var errDataInUse = errors.New("in use by another belfry process")

// lockData makes the data folder if it is missing and takes it for this
// process. The lock ends with the process, however it ends; unlock gives it
// back sooner. The lock file stays, removing it would let two processes lock
// two files.
func lockData(dir string) (unlock func() error, err error) {
	// Payloads are stored here: nobody else needs to read them.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("couldn't make the data folder %q: %w", dir, err)
	}
	lock := flock.New(filepath.Join(dir, "belfry.lock"))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("couldn't write to the data folder %q: %w", dir, err)
	}
	if !locked {
		return nil, fmt.Errorf("the data folder %q is %w", dir, errDataInUse)
	}
	return lock.Unlock, nil
}
