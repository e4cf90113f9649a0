package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"belfry/internal/proc"
)

// disk is a file system of its own in a file, so that it can fill up while everything
// else goes on. It syncs as the disk below it does.
type disk struct {
	image string
	dir   string
}

// diskSize is far more than a run stores, and is soon written full.
const diskSize = 256 << 20

// newDisk makes a disk in the file image and mounts it at dir. It needs root.
func newDisk(ctx context.Context, image, dir string) (*disk, error) {
	d := &disk{image: image, dir: dir}
	file, err := os.Create(image)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(file.Truncate(diskSize), file.Close(), os.Mkdir(dir, 0o700)); err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		{"mkfs.ext4", "-q", "-F", "-m", "0", image},
		{"mount", "-o", "loop", image, dir},
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", args[0], err, out)
		}
	}
	return d, nil
}

// canMakeDisks says why no disk can be made here, or nil.
func canMakeDisks(ctx context.Context, dir string) error {
	d, err := newDisk(ctx, filepath.Join(dir, "try.img"), filepath.Join(dir, "try"))
	if err == nil {
		err = d.close()
	}
	return errors.Join(err, os.RemoveAll(filepath.Join(dir, "try")), os.RemoveAll(filepath.Join(dir, "try.img")))
}

func (d *disk) filler() string { return filepath.Join(d.dir, "filler") }

// fill writes the disk full, to the last byte.
func (d *disk) fill() error {
	file, err := os.Create(d.filler())
	if err != nil {
		return err
	}
	defer file.Close()
	for n := 1 << 20; n > 0; {
		switch _, err := file.Write(make([]byte, n)); {
		case errors.Is(err, syscall.ENOSPC):
			n /= 2
		case err != nil:
			return err
		}
	}
	return nil
}

func (d *disk) free() error { return os.Remove(d.filler()) }

// close unmounts the disk. The file stays, with all that was stored.
func (d *disk) close() error {
	if out, err := exec.Command("umount", d.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("umount: %w: %s", err, out)
	}
	return nil
}

// fillDisk keeps the disk of a node or a server full for a while. Then it restarts what
// needs a restart, in the place of a service manager, for a belfry that ends with the
// code for it, and of an operator, for a nats-server, which gives up JetStream on such a
// disk.
func (f *faulter) fillDisk(ctx context.Context, one fault) error {
	d := f.disks[one.which]
	if err := d.fill(); err != nil {
		return errors.Join(err, d.free())
	}
	if err := errors.Join(wait(ctx, one.lasts), d.free()); err != nil {
		return err
	}
	if len(f.servers) > 0 {
		server := f.servers[one.which]
		return errors.Join(server.Stop(), server.Start())
	}
	return startAgain(ctx, f.nodes[one.which])
}

// startsAgain is the exit code of a belfry that wants to be started again.
const startsAgain = 75

// upFor is how long a belfry must stay up to count as unharmed: it waits 5 s for an
// answer that does not come.
const upFor = 7 * time.Second

// startAgain waits until the process is up and stays up, and starts it once if it asks
// for that.
func startAgain(ctx context.Context, p *proc.Process) error {
	ctx, cancel := context.WithTimeout(ctx, upWithin)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for down := time.Now(); time.Since(down) < upFor; {
		select {
		case <-p.Ended():
			var exit *exec.ExitError
			if errors.As(p.Err(), &exit) && exit.ExitCode() == startsAgain {
				return p.Start()
			}
			return fmt.Errorf("%s ended: %w; its log is %s", p.Name, p.Err(), p.Log)
		case <-ctx.Done():
			return fmt.Errorf("%s is not up: %w; its log is %s", p.Name, ctx.Err(), p.Log)
		case <-tick.C:
			if !p.IsUp(ctx) {
				down = time.Now()
			}
		}
	}
	return nil
}
