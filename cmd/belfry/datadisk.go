package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"belfry/internal/fault"
	"belfry/internal/storefolder"
	"belfry/streams/asset"
	"belfry/streams/manifest"
	"belfry/streams/setup"
	"belfry/streams/wire"
)

// dataDisk holds the state of the streams' files in the data folder from before the
// embedded server started, and the server's messages about them. It implements
// [setup.Disk].
type dataDisk struct {
	dir     *dataDir
	path    string // the streams' folders
	names   wire.Names
	guard   *storefolder.Guard
	server  *server.Server // set when it runs, and so is says
	says    *natsLog
	log     *slog.Logger
	stopped bool // the last server on it has stopped cleanly

	folders []string
	last    map[string]uint64

	mu     sync.Mutex // guards the fields below
	damage []manifest.Damage
}

// These are in the data folder: the second links to the streams' files while a server
// recovers them, copies of damaged blocks, streams that were set aside, and a file that
// exists while no server is at work.
const (
	guardFolder   = "guard"
	damagedFolder = "damaged"
	asideFolder   = "set-aside"
	stoppedFile   = "stopped.json"
)

// openDisk checks the streams' files before a server touches them. It refuses Belfry's
// files that a server could not read, repairs damaged ones, and protects all of them.
func openDisk(ctx context.Context, dir *dataDir, recreate bool, n wire.Names, log *slog.Logger) (*dataDisk, error) {
	d := &dataDisk{dir: dir, path: storefolder.Path(dir.path), names: n, log: log, last: map[string]uint64{}}
	d.guard = storefolder.NewGuard(d.path, filepath.Join(dir.path, guardFolder))
	if err := d.putBack(); err != nil {
		return nil, err
	}
	names, err := storefolder.Streams(d.path)
	if err == nil {
		err = d.compareSizes()
	}
	if err != nil {
		return nil, unreadable(err)
	}
	damaged := map[string][]storefolder.Bad{}
	for _, name := range names {
		if damaged[name], err = d.open(ctx, name, recreate); err != nil {
			return nil, err
		}
	}
	// Nothing is changed before all of them prove readable.
	for _, name := range d.folders {
		if err := d.mend(name, damaged[name]); err != nil {
			return nil, err
		}
	}
	if err := d.tellCopies(); err != nil {
		return nil, err
	}
	if err := d.guard.Protect(); err != nil {
		log.Warn(fault.Unguarded, "error", err)
	}
	if err := dir.root.Remove(stoppedFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, d.guard.Release())
	}
	return d, nil
}

// unreadable refuses a start on files that cannot be read. A shortage, as of
// open files, says nothing about the files.
func unreadable(err error, names ...string) error {
	if isOfWant(err) {
		return fmt.Errorf("couldn't look at the files of the streams: %w", err)
	}
	return &setup.Refusal{Fault: fault.StreamUnreadable, Streams: names, Reason: err.Error(), Do: "put owner, rights or disk right and start again"}
}

// open checks one stream, and returns its damaged blocks.
func (d *dataDisk) open(ctx context.Context, name string, recreate bool) ([]storefolder.Bad, error) {
	err := storefolder.Check(d.path, name)
	var report storefolder.Report
	if err == nil {
		report, err = storefolder.Verify(ctx, d.path, name)
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case isOfWant(err):
		return nil, unreadable(err)
	case err != nil && !asset.Set{Names: d.names}.Has(name):
		d.log.Warn(fault.StreamUnreadable, "stream", name, "error", err)
		return nil, nil
	case err != nil && recreate:
		kept, asideErr := d.SetAside(name)
		if asideErr != nil {
			return nil, errors.Join(err, asideErr)
		}
		d.log.Warn(fault.Recreating, "stream", name, "reason", err, "kept", kept)
		return nil, nil
	case err != nil:
		return nil, unreadable(err, name)
	}
	d.folders = append(d.folders, name)
	if !report.Opaque {
		d.last[name] = report.Last
	}
	if report.Torn != nil {
		d.log.Warn(fault.TornWrite, "stream", name, "at", report.Torn.String())
	}
	return report.Bad, nil
}

// mend leaves only readable data in the files of a stream.
func (d *dataDisk) mend(name string, damaged []storefolder.Bad) error {
	if err := d.mendConsumers(name); err != nil {
		return unreadable(err, name)
	}
	for _, bad := range damaged {
		if err := d.repair(name, bad); err != nil {
			return fmt.Errorf("stream %s: couldn't keep what is whole of %s: %w", name, bad, err)
		}
	}
	return nil
}

// mendConsumers moves away the files of consumers that cannot be opened, since the
// server could not make those consumers again. Belfry makes them when it runs.
func (d *dataDisk) mendConsumers(stream string) error {
	bad, err := storefolder.BadConsumers(d.path, stream)
	for name, reason := range bad {
		if isOfWant(reason) { // the files may be whole
			err = errors.Join(err, reason)
			continue
		}
		to := d.aside(stream + "." + name)
		if moveErr := storefolder.SetConsumerAside(d.path, stream, name, to); moveErr != nil {
			err = errors.Join(err, reason, moveErr)
			continue
		}
		d.log.Warn(fault.ConsumerUnreadable, "stream", stream, "consumer", name, "error", reason, "kept", to)
	}
	return err
}

func (d *dataDisk) aside(name string) string {
	return filepath.Join(d.dir.path, asideFolder, name+"."+time.Now().UTC().Format("20060102T150405.000000000"))
}

// repair keeps a copy of a damaged block and leaves its undamaged part in it.
func (d *dataDisk) repair(name string, bad storefolder.Bad) error {
	kept, err := bad.Copy(filepath.Join(d.dir.path, damagedFolder, name))
	if err != nil {
		return err
	}
	dropped, err := bad.Repair(d.path, name)
	if err != nil {
		return err
	}
	d.log.Warn("a damaged block is repaired", "stream", name, "damage", bad.String(), "dropped", dropped, "kept", kept)
	return nil
}

// tellCopies finds the copies of damaged blocks, including those of earlier starts: a
// start may have died before it wrote down what it found.
func (d *dataDisk) tellCopies() error {
	copies, err := fs.Glob(d.dir.root.FS(), damagedFolder+"/*/*")
	for _, path := range copies {
		d.found(filepath.Base(filepath.Dir(path)), "a block was damaged and is kept in "+path)
	}
	return err
}

// compareSizes finds blocks that are gone or shorter since a clean stop.
func (d *dataDisk) compareSizes() error {
	text, err := d.dir.root.ReadFile(stoppedFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was not a clean stop
	}
	if err != nil {
		return err
	}
	var then storefolder.Sizes
	if err := json.Unmarshal(text, &then); err != nil {
		d.log.Warn("the sizes of the blocks at the last stop are not known", "error", err)
		return nil
	}
	now, err := d.measure()
	if err != nil {
		return nil // the check of each stream will say why
	}
	d.stopped = then.Written.Equal(now.Written)
	for name := range now.Blocks {
		for _, what := range then.Changes(now, name) {
			d.found(name, what)
		}
	}
	return nil
}

func (d *dataDisk) found(stream, what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.damage = append(d.damage, manifest.Damage{Stream: stream, What: what, Found: time.Now().UTC()})
}

// Folders implements [setup.Disk].
func (d *dataDisk) Folders() []string { return slices.Clone(d.folders) }

// Last implements [setup.Disk].
func (d *dataDisk) Last(stream string) (uint64, bool) {
	last, ok := d.last[stream]
	return last, ok
}

// Reason implements [setup.Disk].
func (d *dataDisk) Reason(stream string) string { return strings.Join(d.says.about(stream), "; ") }

// Damage implements [setup.Disk].
func (d *dataDisk) Damage() []manifest.Damage {
	for _, said := range d.says.damage(d.stopped) {
		d.found(said.stream, "the server says: "+said.text)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.damage
	d.damage = nil
	return all
}

// SetAside implements [setup.Disk].
func (d *dataDisk) SetAside(stream string) (string, error) {
	to := d.aside(stream)
	return to, d.guard.SetAside(stream, to)
}

// opened ends the protection: the server has recovered everything.
func (d *dataDisk) opened() error { return d.guard.Release() }

// putBack undoes the server's changes to the streams that it failed to recover.
func (d *dataDisk) putBack() error {
	back, err := d.guard.PutBack()
	for _, name := range back {
		d.log.Warn(fault.PutBack, "stream", name)
	}
	return err
}

// runs notes the server that works on the files.
func (d *dataDisk) runs(e *embedded) { d.server, d.says = e.server, e.says }

// measure records the sizes of the blocks of Belfry's streams.
func (d *dataDisk) measure() (storefolder.Sizes, error) {
	names, err := storefolder.Streams(d.path)
	if err != nil {
		return storefolder.Sizes{}, err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !asset.Set{Names: d.names}.Has(name) })
	return storefolder.Measure(d.path, names, d.names.AlwaysWritten())
}

// closed notes that the server has stopped cleanly, and the sizes that it left.
func (d *dataDisk) closed() error {
	sizes, err := d.measure()
	if err != nil {
		return err
	}
	text, err := json.Marshal(sizes)
	if err != nil {
		return err
	}
	return storefolder.ReplaceIn(d.dir.root, stoppedFile, text)
}
