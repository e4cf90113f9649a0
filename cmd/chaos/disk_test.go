package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A full disk takes no more writes, and takes them again once there is space.
func TestDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := canMakeDisks(t.Context(), dir); err != nil {
		t.Skipf("no disk can be made here: %v", err)
	}
	d, err := newDisk(t.Context(), filepath.Join(dir, "disk.img"), filepath.Join(dir, "disk"))
	if err != nil {
		t.Fatal(err)
	}
	write := func() error { return os.WriteFile(filepath.Join(d.dir, "file"), make([]byte, 64<<10), 0o600) }
	if err := d.fill(); err != nil {
		t.Fatal(err)
	}
	if err := write(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk takes a file: %v", err)
	}
	if err := d.free(); err != nil {
		t.Fatal(err)
	}
	if err := write(); err != nil {
		t.Errorf("a disk that is free again takes no file: %v", err)
	}
	if err := d.close(); err != nil {
		t.Error(err)
	}
}
