package command

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/urfave/cli/v3"

	"belfry/api/client"
)

// cancelJobs cancels the job that the arguments name, or the jobs that the
// flags select.
func (r remote) cancelJobs(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	q, err := r.jobFilters(cmd)
	if err != nil {
		return err
	}
	many, err := selection(cmd, q != client.JobQuery{}, cmd.Args().Len() == 3, "ID")
	if err != nil {
		return err
	}
	if many {
		return r.cancelEach(ctx, cmd, c, client.Cancel{JobQuery: q, All: cmd.Bool("all")})
	}
	answer, err := c.Do(ctx, http.MethodDelete, jobPath(cmd), nil)
	if err != nil {
		return err
	}
	return r.done(cmd, answer, "cancelled %s", cmd.Args().Get(2))
}

// selection reports whether the command is for many things, by a filter or with
// --all, and not for one that is named.
func selection(cmd *cli.Command, filtered, named bool, name string) (many bool, err error) {
	all := cmd.Bool("all")
	switch {
	case named && (all || filtered || cmd.Bool("dry-run")):
		return false, usagef("%s stands beside a filter, --all or --dry-run, which are for many; one of the two is accepted", name)
	case all && filtered:
		return false, usagef("--all stands beside a filter; one of the two is accepted")
	case !named && !all && !filtered:
		return false, usagef("%s is missing, or a filter, or --all; see \"%s --help\"", name, cmd.FullName())
	}
	return !named, nil
}

// cancelEach asks for confirmation, then cancels the jobs that a filter selects.
func (r remote) cancelEach(ctx context.Context, cmd *cli.Command, c *client.Client, selected client.Cancel) error {
	place := strings.Join(cmd.Args().Slice(), "/")
	dry := cmd.Bool("dry-run")
	if !dry {
		if err := r.needsForce(cmd); err != nil {
			return err
		}
	}
	total := -1
	if dry || !cmd.Bool("force") {
		selected.DryRun = true
		count, err := r.runCancel(ctx, cmd, c, selected, r.progress("counting", -1), dry && cmd.Bool("json"))
		switch {
		case err != nil || dry && cmd.Bool("json"):
			return err
		case dry:
			return r.line("would cancel %s of %s%s", counted(count.WouldCancel, "job"), place, skipped(count))
		case count.WouldCancel == 0:
			answer := fmt.Appendf(nil, `{"cancelled":0,"skipped":%d}`, count.Skipped)
			return r.done(cmd, answer, "cancelled 0 jobs of %s%s", place, skipped(count))
		}
		selected.DryRun = false
		total = count.WouldCancel
		if err := r.confirm(ctx, cmd, "Cancel %s of %s?", counted(total, "job"), place); err != nil {
			return err
		}
	}
	sum, err := r.runCancel(ctx, cmd, c, selected, r.progress("cancelling", int64(total)), cmd.Bool("json"))
	if err != nil || cmd.Bool("json") {
		return err
	}
	return r.line("cancelled %s of %s%s", counted(sum.Cancelled, "job"), place, skipped(sum))
}

// skipped says how many jobs were skipped, if any were.
func skipped(c client.Cancelled) string {
	if c.Skipped == 0 {
		return ""
	}
	return ", and skipped " + counted(c.Skipped, "job") + " that had begun to fire"
}

// runCancel repeats the request for all pages, and returns the sum of the
// answers. With asJSON it prints each answer.
func (r remote) runCancel(ctx context.Context, cmd *cli.Command, c *client.Client, body client.Cancel, bar *progress, asJSON bool) (client.Cancelled, error) {
	defer bar.end()
	var sum client.Cancelled
	path := client.Path(append([]string{"cancel"}, cmd.Args().Slice()...)...)
	for answer, err := range c.Repeat(ctx, path, body) {
		if err != nil {
			return sum, partly(err, "cancelled", sum.Cancelled)
		}
		var part client.Cancelled
		if err := json.Unmarshal(answer, &part); err != nil {
			return sum, unreadable(err)
		}
		sum.Cancelled += part.Cancelled
		sum.WouldCancel += part.WouldCancel
		sum.Skipped += part.Skipped
		bar.add(part.Cancelled + part.WouldCancel)
		if asJSON {
			if err := r.raw(answer); err != nil {
				return sum, err
			}
		}
	}
	return sum, nil
}
