package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"belfry/internal/storefolder"
	"belfry/streams/manifest"
)

// manifestFile keeps the manifest beside the data. It writes it in the folder that was
// locked, even when another folder has taken its place.
type manifestFile struct {
	dir *dataDir

	mu       sync.Mutex // guards the fields below
	revision uint64     // of this process, which alone writes the file
}

// Read implements [manifest.Ledger].
func (f *manifestFile) Read(context.Context) ([]byte, uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text, err := f.dir.root.ReadFile(manifest.FileName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, f.revision, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("couldn't read the manifest: %w", err)
	}
	return text, f.revision, nil
}

// Write implements [manifest.Ledger].
func (f *manifestFile) Write(_ context.Context, text []byte, revision uint64) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if revision != f.revision {
		return 0, manifest.ErrChanged
	}
	if err := storefolder.ReplaceIn(f.dir.root, manifest.FileName, text); err != nil {
		return 0, fmt.Errorf("couldn't write the manifest: %w", err)
	}
	f.revision++
	return f.revision, nil
}
