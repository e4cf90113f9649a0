package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"belfry/internal/fault"
	"belfry/internal/job"
	"belfry/internal/storefolder"
	"belfry/streams"
	"belfry/streams/manifest"
	"belfry/streams/setup"
)

// These are the intervals at which the embedded server's data is checked: whether its
// folder still exists, and how far its streams are.
const (
	dataEvery = time.Second
	keepEvery = time.Second
)

// useDisk opens the embedded server's files before the server starts, and restores what
// the server removes in a start that fails.
func (s *Server) useDisk(ctx context.Context, dir *dataDir) error {
	if err := s.checkFolder(dir); err != nil {
		return err
	}
	disk, err := openDisk(ctx, dir, s.cfg.RecreateMissing, s.cfg.names(), s.log)
	if err != nil {
		return err
	}
	s.disk = disk
	s.onStop("files of the streams", stopLimit, func(context.Context) error {
		if s.dataLost() != nil {
			return nil
		}
		return disk.putBack() // once the store is open, there is nothing to put back
	})
	return nil
}

// checkFolder refuses the data folder of a store with another prefix.
func (s *Server) checkFolder(dir *dataDir) error {
	written, err := dir.root.ReadFile(manifest.FileName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil // reported when the manifest is read for good
	}
	folders, err := storefolder.Streams(storefolder.Path(dir.path))
	if err != nil {
		return nil // reported by the check of the streams
	}
	return setup.CheckFolder(s.cfg.names(), written, folders)
}

// stopEmbedded ends the embedded server. A server whose folder is lost is left alone
// until the process ends: when it stops, it writes to the paths of its files, which may
// be another server's by now.
func (s *Server) stopEmbedded(e *embedded) func(context.Context) error {
	return func(ctx context.Context) error {
		if s.dataLost() != nil {
			return nil
		}
		if closed, err := s.closeEmbedded(ctx, e); err != nil || !closed {
			return err
		}
		return s.disk.closed()
	}
}

// keeping adds to the store's configuration what tells a lost store from a new one.
func (s *Server) keeping(cfg streams.Config) streams.Config {
	cfg.Place = s.dataPlace()
	cfg.ExistingData, cfg.RecreateMissing, cfg.AcceptDamage = s.cfg.ExistingData, s.cfg.RecreateMissing, s.cfg.AcceptDamage
	if s.disk != nil {
		cfg.Ledger, cfg.Disk, cfg.KeepEvery = &manifestFile{dir: s.disk.dir}, s.disk, keepEvery
	}
	return cfg
}

// keep guards the data once the store is open.
func (s *Server) keep(ctx context.Context, store *streams.Store) error {
	if s.disk != nil {
		if err := s.disk.opened(); err != nil {
			return err
		}
		w := &folderWatch{dir: s.disk.dir, has: s.disk.serverHas}
		if err := w.look(); err != nil { // notes the folders that may be missing later
			return fmt.Errorf("%w: %w", errFolderLost, err)
		}
		s.spawn("watch of the data folder", stopLimit, func(ctx context.Context) error { return s.watchData(ctx, w) })
		s.spawn("watch of the storage", stopLimit, func(ctx context.Context) error { return s.watchStorage(ctx, store) })
	}
	n, err := store.CountJobs(ctx)
	if err != nil {
		return err
	}
	opened := []any{"jobs", n, "in", s.dataPlace()}
	if s.cfg.AssetPrefix != "" {
		opened = append(opened, "asset_prefix", s.cfg.AssetPrefix)
	}
	s.log.Info("the store is open", opened...)
	s.spawn("manifest", stopLimit, store.Keep) // Keep bounds its last note by itself
	return nil
}

var errFolderLost = errors.New(fault.FolderLost)

// watchData ends with an error when the data folder is no longer the one that was
// opened, or lacks a stream that the server has.
func (s *Server) watchData(ctx context.Context, w *folderWatch) error {
	tick := time.NewTicker(s.dataEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := w.look(); err != nil {
			err = fmt.Errorf("%w: %w", errFolderLost, err)
			s.log.Error(fault.FolderLost, "error", err, "data", s.dataPlace())
			s.loseData(err)
			return err
		}
	}
}

// folderWatch checks a data folder again and again.
type folderWatch struct {
	dir *dataDir
	has func(stream string) bool // reports whether the server has the stream

	seen    []string // streams that had a folder
	missing []string // those of them whose folder was missing at the last check
}

// look returns an error if something is lost. A stream's folder must be missing twice in
// a row, because the server removes the folder before it forgets the stream.
func (w *folderWatch) look() error {
	if err := w.dir.check(); err != nil {
		return err
	}
	path := storefolder.Path(w.dir.path)
	names, err := storefolder.Streams(path)
	if err != nil {
		return nil // it exists, but cannot be read now
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !storefolder.HasFiles(path, name) })
	var missing []string
	for _, name := range w.seen {
		if slices.Contains(names, name) || !w.has(name) {
			continue
		}
		if slices.Contains(w.missing, name) {
			return fmt.Errorf("the files of stream %s were removed", name)
		}
		missing = append(missing, name)
	}
	w.seen, w.missing = append(names, missing...), missing
	return nil
}

// serverHas reports whether the embedded server has a stream.
func (d *dataDisk) serverHas(stream string) bool {
	info, err := d.server.Jsz(&server.JSzOptions{Accounts: true, Streams: true})
	if err != nil {
		return false
	}
	for _, account := range info.AccountDetails {
		if account.Name == server.DEFAULT_GLOBAL_ACCOUNT && slices.ContainsFunc(account.Streams, func(s server.StreamDetail) bool { return s.Name == stream }) {
			return true
		}
	}
	return false
}

// loseData notes that the server's writes go nowhere.
func (s *Server) loseData(err error) {
	s.addrs.Lock()
	defer s.addrs.Unlock()
	s.lost = err
}

func (s *Server) dataLost() error {
	s.addrs.Lock()
	defer s.addrs.Unlock()
	return s.lost
}

// ready returns why the store cannot be used, or nil.
func (s *Server) ready(store *streams.Store) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := s.dataLost(); err != nil {
			return fmt.Errorf("%w: %w", job.ErrUnavailable, err)
		}
		err := store.Ready(ctx)
		if full := s.diskFull(); err != nil && full != nil {
			err = fmt.Errorf("%w; the data folder takes no writes: %w", err, full)
		}
		return err
	}
}
