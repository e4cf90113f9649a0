package streams

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
)

// book is the manifest in memory, and how it is changed.
type book struct {
	ledger Ledger

	mu       sync.Mutex // guards what follows
	m        manifest
	found    bool // there was one
	revision uint64
	unstored bool // the last change could not be stored
}

// read takes in the manifest as it is stored.
func (b *book) read(ctx context.Context) error {
	text, revision, err := b.ledger.Read(ctx)
	if err != nil {
		return err
	}
	m, found, err := decodeManifest(text)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.m, b.found, b.revision = m, found, revision
	return nil
}

// behind reports whether something is not stored yet.
func (b *book) behind() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.unstored
}

// now returns the manifest as it was read or written last.
func (b *book) now() (m manifest, found bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.m, b.found
}

// change stores what edit makes of the manifest, if edit says that it changed
// something. When another process was faster, edit gets what that one wrote. What
// could not be stored counts here, and is stored with the next change.
func (b *book) change(ctx context.Context, edit func(*manifest) bool) error {
	for {
		b.mu.Lock()
		m, revision, unstored := b.m.clone(), b.revision, b.unstored
		b.mu.Unlock()
		if !edit(&m) && !unstored {
			return nil
		}
		text, err := m.encode()
		if err != nil {
			return err
		}
		revision, err = b.ledger.Write(ctx, text, revision)
		if err == nil {
			b.mu.Lock()
			b.m, b.found, b.revision, b.unstored = m, true, revision, false
			b.mu.Unlock()
			return nil
		}
		if !errors.Is(err, ErrLedgerChanged) || ctx.Err() != nil {
			b.mu.Lock()
			b.m, b.unstored = m, true
			b.mu.Unlock()
			return err
		}
		if err := b.read(ctx); err != nil {
			return err
		}
	}
}

func (m manifest) clone() manifest {
	m.Made, m.Making = slices.Clone(m.Made), slices.Clone(m.Making)
	m.Damage, m.Accepted = slices.Clone(m.Damage), slices.Clone(m.Accepted)
	m.Known = maps.Clone(m.Known)
	if m.Known == nil {
		m.Known = map[string]known{}
	}
	return m
}
