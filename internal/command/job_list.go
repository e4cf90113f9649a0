package command

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/urfave/cli/v3"

	"belfry/api/client"
	"belfry/internal/job"
)

// jobFilterFlags are the flags that select jobs of a db or collection.
func jobFilterFlags() []cli.Flag {
	return []cli.Flag{
		text("status", "STATUS", fmt.Sprintf("of this status: %s", words(job.Statuses()))),
		text("route", "ROUTE", "of this route"),
		text("prefix", "TEXT", "with an id that begins so"),
		text("due-after", "TIME", "due from then on; TIME as in --at, or now, +10m, -2d"),
		text("due-before", "TIME", "due before then"),
	}
}

func (r remote) jobFilters(cmd *cli.Command) (client.JobQuery, error) {
	var q client.JobQuery
	err := r.filters(cmd,
		filterFlag{name: "status", text: (*string)(&q.Status)},
		filterFlag{name: "route", text: &q.Route},
		filterFlag{name: "prefix", text: &q.Prefix},
		filterFlag{name: "due-after", moment: &q.DueAfter},
		filterFlag{name: "due-before", moment: &q.DueBefore},
	)
	return q, err
}

// perPage is the most elements that the server returns at once.
const perPage = job.MaxJobs

// pageSize returns how many elements to request at once if up to limit are wanted; a
// limit of 0 means all.
func pageSize(limit int) int {
	if limit > 0 {
		return min(limit, perPage)
	}
	return perPage
}

func (r remote) listJobs(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	q, err := r.jobFilters(cmd)
	if err != nil {
		return err
	}
	most, err := limit(cmd)
	if err != nil {
		return err
	}
	q.Limit = pageSize(most)
	l := listing[client.ListedJob]{
		path: jobPath(cmd), query: q.Values(), field: "jobs", what: "jobs",
		header: []string{"ID", "STATUS", "ROUTE", "DUE", "", "TRIES", "REASON"},
		row: func(j client.ListedJob) []string {
			now := r.now()
			due := j.TriggerTime
			if j.NextAttemptTime != 0 {
				due = j.NextAttemptTime
			}
			return []string{j.ID, string(j.Status), j.Route, moment(due, now), distance(due, now), strconv.Itoa(j.Attempt), j.Reason}
		},
	}
	if cmd.Args().Len() == 1 {
		row := l.row
		l.header = append([]string{"COLLECTION"}, l.header...)
		l.row = func(j client.ListedJob) []string { return append([]string{j.Collection}, row(j)...) }
	}
	return list(ctx, r, cmd, c, l, most)
}

func (r remote) listAttempts(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	answer, err := c.Do(ctx, http.MethodGet, jobPath(cmd, "attempts"), nil)
	if err != nil {
		return err
	}
	var all struct{ Attempts []json.RawMessage }
	if err := json.Unmarshal(answer, &all); err != nil {
		return unreadable(err)
	}
	if len(all.Attempts) == 0 && !cmd.Bool("json") {
		r.note("no attempts")
	}
	l := listing[client.Attempt]{
		header: []string{"TRY", "STARTED", "LATE", "TOOK", "STATUS", "ERROR", "RESPONSE"},
		row: func(a client.Attempt) []string {
			status := ""
			if a.Status != 0 {
				status = strconv.Itoa(a.Status)
			}
			return []string{strconv.Itoa(a.Attempt), moment(a.StartedTime, r.now()), millis(a.LatenessMS), millis(a.DurationMS), status, a.Error, excerpt(a.Response)}
		},
	}
	return printPage(r, cmd, &table{w: r.Stdout}, l, all.Attempts)
}
