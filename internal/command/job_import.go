package command

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v3"

	"belfry/api/client"
)

// partly adds to an error how much of the work was done before it broke off.
func partly(err error, done string, n int) error {
	if n == 0 {
		return err
	}
	return fmt.Errorf("%w; %d were %s before that, and it is safe to repeat", err, n, done)
}

// importJobs streams a file to the server and prints the server's answer for each
// job. Failed jobs go to standard error. It holds one answer at a time.
func (r remote) importJobs(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	args := cmd.Args()
	file, err := r.open(ctx, args.Get(2))
	if err != nil {
		return Usage(err)
	}
	defer file.Close()
	bar := r.progress("importing", size(file), progressbar.OptionShowBytes(true))
	defer bar.end()
	done, failed := 0, 0
	in := &counter{ReadCloser: file}
	for answer, err := range c.Stream(ctx, client.Path("bulk", args.Get(0), args.Get(1)), in) {
		if err != nil {
			return partly(err, "created", done)
		}
		bar.reach(in.n.Load())
		var one client.BulkLine
		if err := json.Unmarshal(answer, &one); err != nil {
			return unreadable(err)
		}
		switch {
		case one.Error == "":
			done++
		default:
			failed++
			if !cmd.Bool("quiet") {
				bar.aside(func() { r.note("%s", failure(one)) })
			}
		}
		if cmd.Bool("json") {
			if err := r.raw(answer); err != nil {
				return err
			}
		}
	}
	bar.end()
	if !cmd.Bool("json") {
		if err := r.line("created %s, %d failed", counted(done, "job"), failed); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %s failed", failed, counted(done+failed, "job"))
	}
	return nil
}

// failure is the line that tells people about a failed job.
func failure(l client.BulkLine) string {
	id := ""
	if l.ID != "" {
		id = fmt.Sprintf(" (%q)", l.ID)
	}
	return fmt.Sprintf("line %d%s: %s (%s)", l.Line, id, l.Error, l.Code)
}

// size returns the length of a file, or -1 if it is unknown, as for a pipe.
func size(file any) int64 {
	if f, ok := file.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return info.Size()
		}
	}
	return -1
}
