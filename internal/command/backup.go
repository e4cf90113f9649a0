package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v3"

	"belfry/api/client"
	"belfry/internal/backup"
	"belfry/internal/job"
)

// backupCommand makes a backup of a running server.
func backupCommand(r remote) *cli.Command {
	return r.command("backup", "write all that the server knows, secrets too, to a file; - is standard output", []string{"FILE"}, nil, r.backup)
}

// restoreCommand restores a backup into an empty server.
func restoreCommand(r remote) *cli.Command {
	return r.command("restore", "bring a backup back into an empty server", []string{"FILE"}, nil, r.restore)
}

func (r remote) backup(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	name := cmd.Args().First()
	body, err := c.Download(ctx, client.Path("backup"))
	if err != nil {
		return err
	}
	defer body.Close()
	bar := r.progress("receiving", -1, progressbar.OptionShowBytes(true))
	defer bar.end()
	from := io.TeeReader(body, bar)
	var counts job.EntryCounts
	if name == "-" {
		counts, err = check(io.TeeReader(from, r.Stdout))
	} else {
		counts, err = keep(from, name, syncFolder)
	}
	bar.end()
	var unsure *unsynced
	switch {
	case errors.As(err, &unsure):
		return err
	case err != nil:
		return fmt.Errorf("no backup was made: %w", err)
	}
	if name == "-" {
		r.note("backed up %s", describe(counts))
		return nil
	}
	answer, err := json.Marshal(map[string]any{"status": "ok", "backed_up": counts})
	if err != nil {
		return err
	}
	return r.done(cmd, answer, "backed up %s in %s", describe(counts), name)
}

// check reads a backup to its end and counts its entries.
func check(from io.Reader) (job.EntryCounts, error) {
	file, err := backup.NewReader(from)
	if err != nil {
		return nil, err
	}
	for {
		if _, err := file.Next(); err == io.EOF {
			return file.Counts(), nil
		} else if err != nil {
			return nil, err
		}
	}
}

// unsynced is the error for a backup that was written but whose name a power failure
// may still remove.
type unsynced struct {
	name string
	error
}

func (u *unsynced) Error() string {
	return fmt.Sprintf("the backup is in %s, whole and checked, but may be gone after a power failure: %v", u.name, u.error)
}

func (u *unsynced) Unwrap() error { return u.error }

// keep writes a backup to a file. In the end the file is whole and checked, or as it
// was before. Only its owner can read it. sync gets the file's folder; an error from
// it is returned as [unsynced].
func keep(from io.Reader, name string, sync func(folder string) error) (counts job.EntryCounts, err error) {
	temp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return nil, err
	}
	counts, err = check(io.TeeReader(from, temp))
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), name)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(temp.Name()))
	}
	if err := sync(filepath.Dir(name)); err != nil {
		return counts, &unsynced{name, err}
	}
	return counts, nil
}

// syncFolder makes sure that the name of a new file is on disk.
func syncFolder(name string) error {
	folder, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func (r remote) restore(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	file, err := os.Open(cmd.Args().First())
	if err != nil {
		return usagef("couldn't read the backup: %w", err)
	}
	defer file.Close()
	// The whole file is checked before any of it is sent.
	counts, err := check(file)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return usagef("nothing was restored from %s: %w", file.Name(), err)
	}
	bar := r.progress("sending", size(file), progressbar.OptionShowBytes(true))
	defer bar.end()
	answer, err := c.Upload(ctx, client.Path("restore"), io.TeeReader(file, bar))
	bar.end()
	var refused *client.Error
	switch {
	case errors.As(err, &refused):
		return err
	case err != nil:
		return fmt.Errorf("%w; the restore can be repeated with the same file", err)
	}
	return r.done(cmd, answer, "restored %s", describe(counts))
}

// describe says, for humans, how many entries of each kind there are.
func describe(counts job.EntryCounts) string {
	all := []string{}
	for _, kind := range job.EntryKinds() {
		n, name := counts[kind], strings.ReplaceAll(string(kind), "_", " ")
		switch {
		case n == 1:
			all = append(all, "1 "+name)
		case n > 1:
			all = append(all, fmt.Sprintf("%d %ss", n, name))
		}
	}
	if len(all) == 0 {
		return "nothing, since there is nothing"
	}
	return strings.Join(all, ", ")
}
