package command

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"belfry/internal/backup"
)

// A backup whose folder could not be synced exists, and the error says so. After
// every other error the file is as it was, and nothing is left beside it.
func TestKeep(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	w, err := backup.NewWriter(&file, backup.Header{ID: "x", Made: 1, Belfry: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the disk is broken")
	for _, tt := range []struct {
		from   string
		folder bool // the name is that of a folder, which no file replaces
		sync   error
		want   string // in the error
		kept   bool
	}{
		{file.String(), false, nil, "", true},
		{file.String(), false, broken, "whole and checked, but may be gone after a power failure: the disk is broken", true},
		{file.String()[:20], false, nil, "it was cut off", false},
		{file.String(), true, nil, "rename", false},
	} {
		name := filepath.Join(t.TempDir(), "backup")
		if tt.folder {
			name = t.TempDir()
		} else if err := os.WriteFile(name, []byte("an earlier one"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := keep(strings.NewReader(tt.from), name, func(folder string) error {
			return errors.Join(tt.sync, syncFolder(folder))
		})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) || errors.Is(err, os.ErrNotExist) {
			t.Errorf("keep: %v, want %q", err, tt.want)
		}
		if got, _ := os.ReadFile(name); (string(got) == file.String()) != tt.kept {
			t.Errorf("after %v the file is %q; kept is %t", err, got, tt.kept)
		}
		if left, err := filepath.Glob(filepath.Join(filepath.Dir(name), ".*")); err != nil || len(left) > 0 {
			t.Errorf("beside the backup there are %q (%v)", left, err)
		}
	}
}
