package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLockData(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	d, err := lockData(dir)
	if err != nil {
		t.Fatalf("lockData of a missing folder: %v", err)
	}
	if _, err := lockData(dir); !errors.Is(err, errDataInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second lockData: %v, want %v with the folder %s", err, errDataInUse, dir)
	}
	if err := d.unlock(); err != nil {
		t.Fatalf("unlock: %v", err)
	}
	d, err = lockData(dir)
	if err != nil {
		t.Fatalf("lockData after unlock: %v", err)
	}
	if err := d.unlock(); err != nil {
		t.Errorf("unlock: %v", err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the new folder: %v, %v, want mode 0700", info.Mode(), err)
	}
}

func TestLockDataUnwritable(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	lockTaken := t.TempDir() // its lock file cannot be made, not even by root
	if err := os.Mkdir(filepath.Join(lockTaken, "belfry.lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "data"), lockTaken} {
		if _, err := lockData(dir); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("lockData(%q): error %v, want one that names the folder", dir, err)
		}
	}
}
