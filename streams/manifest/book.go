package manifest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
)

// Book holds the manifest in memory and changes it. It is safe for concurrent use.
type Book struct {
	ledger Ledger

	mu       sync.Mutex // guards what follows
	m        Manifest
	found    bool // the ledger had a manifest
	revision uint64
	unstored bool // the last change could not be stored
}

// NewBook returns an empty book; call Read first.
func NewBook(ledger Ledger) *Book { return &Book{ledger: ledger} }

// Read loads the stored manifest.
func (b *Book) Read(ctx context.Context) error {
	text, revision, err := b.ledger.Read(ctx)
	if err != nil {
		return err
	}
	m, found, err := Decode(text)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.m, b.found, b.revision = m, found, revision
	return nil
}

// Behind reports whether a change is not stored yet.
func (b *Book) Behind() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.unstored
}

// Current returns the manifest as it was last read or written.
func (b *Book) Current() (m Manifest, found bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.m, b.found
}

// Change stores what edit makes of the manifest, if edit reports a change. If another
// process was faster, edit runs again on that process's version. A change that could not
// be stored counts in memory, and is stored with the next one.
func (b *Book) Change(ctx context.Context, edit func(*Manifest) bool) error {
	for {
		b.mu.Lock()
		m, revision, unstored := b.m.clone(), b.revision, b.unstored
		b.mu.Unlock()
		if !edit(&m) && !unstored {
			return nil
		}
		text, err := m.Encode()
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
		if !errors.Is(err, ErrChanged) || ctx.Err() != nil {
			b.mu.Lock()
			b.m, b.unstored = m, true
			b.mu.Unlock()
			return err
		}
		if err := b.Read(ctx); err != nil {
			return err
		}
	}
}

func (m Manifest) clone() Manifest {
	m.Made, m.Making = slices.Clone(m.Made), slices.Clone(m.Making)
	m.Damage, m.Accepted = slices.Clone(m.Damage), slices.Clone(m.Accepted)
	m.Known = maps.Clone(m.Known)
	if m.Known == nil {
		m.Known = map[string]Known{}
	}
	return m
}
