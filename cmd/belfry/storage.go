package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"belfry/streams"
)

// nats-server keeps the first error of a write to a stream's files, and refuses all
// later writes for it, until it is restarted. So when no write works any more, and the
// data folder takes writes again, the process ends with the code that asks for a
// restart. The next start makes its usual checks first, and nothing is left of the old
// server, which has files open.
const (
	// stuckAfter is how long no write may work before something is done about it.
	stuckAfter = 8 * time.Second
	// stuckStill is how long writes may keep failing after the disk has taken one,
	// although the streams are tried at once. The server may have waited for the disk,
	// too.
	stuckStill = 3 * time.Second
)

var errStuck = errors.New("nats-server takes no writes any more, though the disk does; a new start will")

// errLimit: without max_file_store nats-server limits itself to three quarters of the
// free space at its start. After a start on a full disk that is less than it already
// holds, for ever.
var errLimit = errors.New("nats-server's limit of storage is from a time when there was less space; a new start takes a higher one")

// outgrown returns why writes are refused for lack of storage, if a new start would have
// a limit that allows some.
func (s *Server) outgrown(store *streams.Store) string {
	since, why := store.Short()
	if why == "" || s.storeLimit > 0 || time.Since(since) < stuckAfter {
		return ""
	}
	now, err := s.disk.server.Jsz(nil)
	if err != nil {
		return ""
	}
	free, err := s.disk.dir.free()
	if err != nil {
		return ""
	}
	next := (free + now.Store) / 4 * 3
	if next < uint64(now.Config.MaxStore)+tryBytes || next < now.Store+tryBytes {
		return ""
	}
	return fmt.Sprintf("%s; the limit is %d bytes, and would be %d", why, now.Config.MaxStore, next)
}

// watchStorage ends with an error when only a new start helps.
func (s *Server) watchStorage(ctx context.Context, store *streams.Store) error {
	told := false
	for pause(ctx, time.Second) {
		if why := s.outgrown(store); why != "" {
			s.log.Error(errLimit.Error(), "reason", why)
			return fmt.Errorf("%w: %s", errLimit, why)
		}
		since, why := store.Stuck(ctx)
		if why == "" {
			told = false
			s.setDiskFull(nil)
			continue
		}
		if time.Since(since) < stuckAfter {
			continue
		}
		err := s.disk.dir.takesWrites()
		s.setDiskFull(err)
		if err != nil {
			if !told {
				s.log.Error("the disk of the data folder takes no writes; when it does, the process ends to be started again", "error", err, "data", s.dataPlace())
			}
			told = true
			continue
		}
		store.TryNow()
		if !pause(ctx, stuckStill) {
			return nil
		}
		if since, why := store.Stuck(ctx); why != "" && time.Since(since) >= stuckAfter {
			s.hurry.Store(true)
			s.log.Error(errStuck.Error(), "reason", why)
			return fmt.Errorf("%w: %s", errStuck, why)
		}
	}
	return nil
}

// setDiskFull notes for /readyz why the data folder takes no writes.
func (s *Server) setDiskFull(err error) {
	s.addrs.Lock()
	defer s.addrs.Unlock()
	s.full = err
}

func (s *Server) diskFull() error {
	s.addrs.Lock()
	defer s.addrs.Unlock()
	return s.full
}

// pause waits, and reports whether ctx still runs.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// These are the parts of a disk's test: a file that is removed again, and as many open
// files as a server needs when it starts.
const (
	tryFile  = "belfry.try"
	tryBytes = 8 << 20
	tryOpen  = 64
)

// free is how many bytes the file system of the data folder has left.
func (d *dataDir) free() (uint64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(d.path, &fs); err != nil {
		return 0, err
	}
	return uint64(fs.Bavail) * uint64(fs.Bsize), nil
}

// takesWrites writes a file of some MB into the data folder.
func (d *dataDir) takesWrites() (err error) {
	defer func() {
		if removed := d.root.Remove(tryFile); err == nil {
			err = removed
		}
	}()
	var open []io.Closer
	defer func() {
		for _, f := range open {
			_ = f.Close() // the file is not kept
		}
	}()
	file, err := d.root.OpenFile(tryFile, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	open = append(open, file)
	for range tryOpen {
		f, err := d.root.Open(tryFile)
		if err != nil {
			return err
		}
		open = append(open, f)
	}
	if _, err := file.Write(make([]byte, tryBytes)); err != nil {
		return err
	}
	return file.Sync()
}
