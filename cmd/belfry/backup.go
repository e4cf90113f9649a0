package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"belfry/internal/backup"
	"belfry/internal/client"
	"belfry/internal/job"
)

// backupCommand makes a backup of a running server.
func backupCommand(r remote) *cli.Command {
	return r.command("backup", "write all that the server knows, secrets too, to a file; - is standard output", []string{"FILE"}, nil, r.backup)
}

// restoreCommand brings one back into an empty server.
func restoreCommand(r remote) *cli.Command {
	return r.command("restore", "bring a backup back into an empty server", []string{"FILE"}, nil, r.restore)
}

func (r remote) backup(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	name := cmd.Args().First()
	if name == "" {
		return errors.New("FILE is empty; a name is accepted, or - for standard output")
	}
	body, err := c.Download(ctx, client.Path("backup"))
	if err != nil {
		return err
	}
	defer body.Close()
	p := &progress{to: r.terminal(), doing: "received"}
	from := io.TeeReader(body, p)
	var counts job.EntryCounts
	if name == "-" {
		counts, err = check(io.TeeReader(from, r.stdout))
	} else {
		counts, err = keep(from, name)
	}
	p.end()
	if err != nil {
		return fmt.Errorf("no backup was made: %w", err)
	}
	if name == "-" {
		_, err := fmt.Fprintln(r.stderr, "backed up", describe(counts))
		return err
	}
	answer, err := json.Marshal(map[string]any{"status": "ok", "backed_up": counts})
	if err != nil {
		return err
	}
	return r.show(cmd, answer, &struct{}{}, func() error {
		_, err := fmt.Fprintf(r.stdout, "backed up %s in %s\n", describe(counts), name)
		return err
	})
}

// check reads a backup to its end.
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

// keep writes a backup to a file that is there whole and checked, or as it was
// before. Only its owner can read it.
func keep(from io.Reader, name string) (counts job.EntryCounts, err error) {
	temp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp.Name()))
		}
	}()
	counts, err = check(io.TeeReader(from, temp))
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return nil, err
	}
	if err := os.Rename(temp.Name(), name); err != nil {
		return nil, err
	}
	return counts, syncFolder(filepath.Dir(name))
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
		return fmt.Errorf("couldn't read the backup: %w", err)
	}
	defer file.Close()
	// All of it, before anything of it is sent.
	counts, err := check(file)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	var size int64
	if err == nil {
		var info os.FileInfo
		if info, err = file.Stat(); err == nil {
			size = info.Size()
		}
	}
	if err != nil {
		return fmt.Errorf("nothing was restored from %s: %w", file.Name(), err)
	}
	p := &progress{to: r.terminal(), doing: "sent", size: size}
	answer, err := c.Upload(ctx, client.Path("restore"), io.TeeReader(file, p))
	p.end()
	var refused *client.Error
	switch {
	case errors.As(err, &refused):
		return err
	case err != nil:
		return fmt.Errorf("%w; the restore can be repeated with the same file", err)
	}
	return r.show(cmd, answer, &struct{}{}, func() error {
		_, err := fmt.Fprintln(r.stdout, "restored", describe(counts))
		return err
	})
}

// describe says for people how much there is of each kind.
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

// terminal is standard error if people watch it, else nil.
func (r remote) terminal() io.Writer {
	file, ok := r.stderr.(*os.File)
	if !ok {
		return nil
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return file
}

// progress tells on a terminal, a few times a second, how many bytes it was
// written.
type progress struct {
	to    io.Writer // nil is nobody
	doing string
	size  int64 // of all; 0 is unknown

	bytes int64
	told  time.Time
}

func (p *progress) Write(data []byte) (int, error) {
	p.bytes += int64(len(data))
	if p.to != nil && time.Since(p.told) > 200*time.Millisecond {
		p.told = time.Now()
		p.tell()
	}
	return len(data), nil
}

func (p *progress) tell() {
	of := ""
	if p.size > 0 {
		of = fmt.Sprintf(" of %.1f (%d%%)", float64(p.size)/1e6, 100*p.bytes/p.size)
	}
	fmt.Fprintf(p.to, "\r%s %.1f%s MB ", p.doing, float64(p.bytes)/1e6, of)
}

// end leaves the line.
func (p *progress) end() {
	if p.to != nil && p.bytes > 0 {
		p.tell()
		fmt.Fprintln(p.to)
	}
}
