package main

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"
)

// ignoresCase reports whether a folder treats names that differ only in case as the
// same, as exFAT, APFS and NTFS do. It makes a file there, which is gone when it
// returns.
func ignoresCase(folder string) (bool, error) {
	file, err := os.CreateTemp(folder, "belfry-case-*")
	if err != nil {
		return false, err
	}
	defer os.Remove(file.Name()) // a file that stays is empty, and does no harm
	made, err := file.Stat()
	if err := cmp.Or(err, file.Close()); err != nil {
		return false, err
	}
	other, err := os.Stat(filepath.Join(folder, strings.ToUpper(filepath.Base(file.Name()))))
	switch {
	case os.IsNotExist(err):
		return false, nil
	case err != nil:
		return false, err
	}
	return os.SameFile(made, other), nil
}

// probeDisk finds out whether the disk of the data ignores case, and says so.
func (s *Server) probeDisk() {
	ignores, err := s.ignoresCase(s.cfg.Data)
	switch {
	case err != nil:
		s.log.Warn("couldn't find out whether the disk of the data folder tells upper from lower case", "error", err)
	case ignores:
		s.log.Warn("the disk of the data folder does not tell upper from lower case: routes whose names differ in case only are refused", "data", s.dataPlace())
	}
	s.diskIgnoresCase = ignores
}
