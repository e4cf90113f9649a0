package storefolder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Guard holds a second link to every file of the streams while a server
// recovers them. A nats-server that fails to recover a stream removes its
// folder; with a Guard nothing is lost.
type Guard struct {
	dir   string // of the streams
	links string // the folder of the links
}

// NewGuard is a guard of the streams in dir whose links are in the folder links,
// which must be on the same file system.
func NewGuard(dir, links string) *Guard { return &Guard{dir, links} }

// Protect links all files of the streams. Links that an earlier process left behind
// must go through [Guard.PutBack] first.
func (g *Guard) Protect() error {
	names, err := Streams(g.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := linkAll(filepath.Join(g.dir, name), filepath.Join(g.links, name)); err != nil {
			return errors.Join(err, g.Release())
		}
	}
	return nil
}

// PutBack restores the missing files of the streams in dir, and drops the links. It
// returns the names of the streams that lacked some. A file that the server had a
// reason to remove is restored as well; the server removes it again.
func (g *Guard) PutBack() ([]string, error) {
	names, err := Streams(g.links)
	if err != nil {
		return nil, err
	}
	var back []string
	for _, name := range names {
		lacked, err := linkAll(filepath.Join(g.links, name), filepath.Join(g.dir, name))
		// The server removes folders that are empty in the background, once for
		// each stream that it did not recover.
		for range names {
			if !errors.Is(err, fs.ErrNotExist) {
				break
			}
			lacked, err = linkAll(filepath.Join(g.links, name), filepath.Join(g.dir, name))
		}
		if err != nil {
			return back, fmt.Errorf("couldn't put back the files of stream %s: %w", name, err)
		}
		if lacked {
			back = append(back, name)
		}
	}
	return back, g.Release()
}

// SetAside moves the folder of a stream to the path to, so that another stream of
// that name can be created. to must not exist.
func (g *Guard) SetAside(name, to string) error {
	kept, place := filepath.Join(g.links, name), filepath.Join(g.dir, name)
	if _, err := os.Stat(kept); err == nil {
		if _, err := linkAll(kept, place); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return errors.Join(os.Rename(place, to), os.RemoveAll(kept))
}

// Release drops the links. A second one does nothing.
func (g *Guard) Release() error { return os.RemoveAll(g.links) }

// linkAll links the files of the folder from into the folder to, except those that
// exist there, and reports whether one was missing.
func linkAll(from, to string) (missing bool, err error) {
	err = filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rest, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.MkdirAll(filepath.Join(to, rest), 0o750)
		}
		switch err := os.Link(path, filepath.Join(to, rest)); {
		case errors.Is(err, fs.ErrExist):
		case err != nil:
			return err
		default:
			missing = true
		}
		return nil
	})
	return missing, err
}
