package command

import (
	"context"
	"net/http"
	"strconv"

	"github.com/urfave/cli/v3"

	"belfry/api/client"
	"belfry/internal/job"
)

// deadCommand has the commands about dead letters.
func deadCommand(r remote) *cli.Command {
	filters := []cli.Flag{
		text("route", "ROUTE", "of this route"),
		text("reason", "REASON", "that died so: "+words(job.Reasons())),
		text("after", "TIME", "that died from then on; TIME as in 2026-12-24T18:00, or now, -2d"),
		text("before", "TIME", "that died before then"),
	}
	many := append(filters,
		yes("all", "all of the db, instead of a filter"),
		yes("dry-run", "only count them"),
	)
	return &cli.Command{
		Name:  "dead",
		Usage: "look at dead letters, redrive and discard them",
		Commands: []*cli.Command{
			r.command("ls", "list the dead letters of a db, oldest first", []string{"DB"}, append(filters[:len(filters):len(filters)], limitFlag()), r.listLetters),
			r.command("show", "show a dead letter", []string{"DB", "SEQUENCE"}, nil, r.showLetter),
			r.command("redrive", "arm the job of a letter again, due now, or of those that a filter selects", []string{"DB", "[SEQUENCE]"}, many[:len(many):len(many)],
				r.onLetters(letterWork{verb: "redrive", done: "redriven", doing: "redriving", method: http.MethodPost, under: []string{"redrive"}, read: readRedriven})),
			r.command("discard", "remove a letter, or those that a filter selects", []string{"DB", "[SEQUENCE]"}, append(many[:len(many):len(many)], yes("force", forceUsage)),
				r.onLetters(letterWork{verb: "discard", done: "discarded", doing: "discarding", method: http.MethodDelete, asks: true, read: readDiscarded})),
		},
	}
}

func (r remote) letterFilters(cmd *cli.Command) (client.LetterQuery, error) {
	var q client.LetterQuery
	err := r.filters(cmd,
		filterFlag{name: "route", text: &q.Route},
		filterFlag{name: "reason", text: &q.Reason},
		filterFlag{name: "after", moment: &q.After},
		filterFlag{name: "before", moment: &q.Before},
	)
	return q, err
}

func (r remote) listLetters(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	q, err := r.letterFilters(cmd)
	if err != nil {
		return err
	}
	most, err := limit(cmd)
	if err != nil {
		return err
	}
	q.Limit = pageSize(most)
	return list(ctx, r, cmd, c, listing[client.ListedLetter]{
		path: deadPath(cmd), query: q.Values(), field: "dead", what: "dead letters",
		header: []string{"SEQUENCE", "DIED", "", "COLLECTION", "ID", "ROUTE", "TRIES", "REASON", "DETAIL"},
		row: func(l client.ListedLetter) []string {
			now := r.now()
			return []string{strconv.FormatUint(l.Sequence, 10), moment(l.DiedAt, now), distance(l.DiedAt, now), l.Collection, l.ID, l.Route,
				strconv.Itoa(l.Attempts), l.Reason, excerpt(l.Detail)}
		},
	}, most)
}

func (r remote) showLetter(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	answer, err := c.Do(ctx, http.MethodGet, deadPath(cmd), nil)
	if err != nil {
		return err
	}
	var l client.Letter
	return r.show(cmd, answer, &l, func() error {
		now := r.now()
		return r.facts([][]string{
			{"Sequence", strconv.FormatUint(l.Sequence, 10)},
			{"DB", l.DB},
			{"Collection", l.Collection},
			{"ID", l.ID},
			{"Route", l.Route},
			{"Died", momentAndDistance(l.DiedAt, now)},
			{"Reason", l.Reason},
			{"Detail", l.Detail},
			{"Tries begun", strconv.Itoa(l.Attempts)},
			{"Due", momentAndDistance(l.TriggerTime, now)},
			{"Data", string(harmless(l.Meta))},
		})
	})
}

// deadPath is the path of the letter or db that the arguments name, followed by more.
func deadPath(cmd *cli.Command, more ...string) string {
	return client.Path(append(append([]string{"dead"}, cmd.Args().Slice()...), more...)...)
}
