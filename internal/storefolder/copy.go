package storefolder

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Copy keeps a copy of a damaged block file in the folder to before the server cuts
// the file off, and returns the copy's path. An existing copy stays.
func (b Bad) Copy(to string) (string, error) {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return "", err
	}
	from, err := os.Open(b.Path)
	if err != nil {
		return "", err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return "", err
	}
	// The same damage has the same name, however often it is found.
	path := filepath.Join(to, fmt.Sprintf("%s.%d.%d", filepath.Base(b.Path), info.Size(), b.Offset))
	copied, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return path, nil
	}
	if err != nil {
		return "", err
	}
	_, err = io.Copy(copied, from)
	if err = errors.Join(err, copied.Sync(), copied.Close()); err != nil {
		return "", errors.Join(err, os.Remove(path))
	}
	return path, nil
}
