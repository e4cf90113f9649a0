package command

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/urfave/cli/v3"

	"belfry/api/client"
	"belfry/internal/job"
)

// jobFilterFlags select jobs of a db or collection.
func jobFilterFlags() []cli.Flag {
	return []cli.Flag{
		text("status", "STATUS", fmt.Sprintf("of this status: %s", words(job.Statuses()))),
		text("route", "ROUTE", "of this route"),
		text("prefix", "TEXT", "with an id that begins so"),
		text("due-after", "TIME", "due from then on; TIME as in --at, or now, +10m, -2d"),
		text("due-before", "TIME", "due before then"),
	}
}

func (r remote) jobFilters(cmd *cli.Command) (map[string]any, error) {
	return r.filters(cmd, []string{"status", "route", "prefix"}, []string{"due-after", "due-before"})
}

// perPage is the most that the server gives at once.
const perPage = job.MaxJobs

// query is a filter as a list takes it, for up to limit elements; 0 is all.
func query(filters map[string]any, limit int) url.Values {
	q := url.Values{"limit": {strconv.Itoa(perPage)}}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(min(limit, perPage)))
	}
	for name, value := range filters {
		q.Set(name, fmt.Sprint(value))
	}
	return q
}

func (r remote) listJobs(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	filters, err := r.jobFilters(cmd)
	if err != nil {
		return err
	}
	most, err := limit(cmd)
	if err != nil {
		return err
	}
	l := listing[shownJob]{
		path: jobPath(cmd), query: query(filters, most), field: "jobs", what: "jobs",
		header: []string{"ID", "STATUS", "ROUTE", "DUE", "", "TRIES", "REASON"},
		row: func(j shownJob) []string {
			now := r.now()
			due := j.Trigger
			if j.NextAttempt != 0 {
				due = j.NextAttempt
			}
			return []string{j.ID, string(j.Status), j.Route, moment(due, now), distance(due, now), strconv.Itoa(j.Attempt), string(j.Reason)}
		},
	}
	if cmd.Args().Len() == 1 {
		row := l.row
		l.header = append([]string{"COLLECTION"}, l.header...)
		l.row = func(j shownJob) []string { return append([]string{j.Collection}, row(j)...) }
	}
	return list(ctx, r, cmd, c, l, most)
}

// attempt is a try as the API shows it.
type attempt struct {
	Attempt  int     `json:"attempt"`
	ID       string  `json:"webhook_id"`
	Started  int64   `json:"started_time"`
	Duration float64 `json:"duration_ms"`
	Lateness float64 `json:"lateness_ms"`
	Status   int     `json:"status"`
	Error    string  `json:"error"`
	Response string  `json:"response"`
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
	l := listing[attempt]{
		header: []string{"TRY", "STARTED", "LATE", "TOOK", "STATUS", "ERROR", "RESPONSE"},
		row: func(a attempt) []string {
			status := ""
			if a.Status != 0 {
				status = strconv.Itoa(a.Status)
			}
			return []string{strconv.Itoa(a.Attempt), moment(a.Started, r.now()), millis(a.Lateness), millis(a.Duration), status, a.Error, excerpt(a.Response)}
		},
	}
	return printPage(r, cmd, &table{w: r.Stdout}, l, all.Attempts)
}
