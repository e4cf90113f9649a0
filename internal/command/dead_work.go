package command

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v3"

	"belfry/api/client"
	"belfry/internal/job"
)

// letterWork is something to do with letters, one or many.
type letterWork struct {
	verb, done, doing string
	method            string   // with one letter
	under             []string // its path
	asks              bool     // before it is done with many
}

// letterRun is the answer to a request to redrive or discard letters.
type letterRun struct {
	Redriven  int `json:"redriven"`
	Discarded int `json:"discarded"`
	Skipped   int `json:"skipped"`
	Skips     []struct {
		letter
		Why job.Skip `json:"why"`
	} `json:"skips"`
}

func (r remote) onLetters(w letterWork) run {
	return func(ctx context.Context, cmd *cli.Command, c *client.Client) error {
		filters, err := r.letterFilters(cmd)
		if err != nil {
			return err
		}
		many, err := selection(cmd, filters, cmd.Args().Len() == 2, "SEQUENCE")
		switch {
		case err != nil:
			return err
		case many:
			return r.onEachLetter(ctx, cmd, c, w, filters)
		}
		answer, err := c.Do(ctx, w.method, deadPath(cmd, w.under...), nil)
		if err != nil {
			return err
		}
		var run letterRun
		if err := json.Unmarshal(answer, &run); err != nil {
			return unreadable(err)
		}
		number := cmd.Args().Get(1)
		if len(run.Skips) == 0 {
			return r.done(cmd, answer, "%s letter %s", w.done, number)
		}
		if cmd.Bool("json") {
			if err := r.raw(answer); err != nil {
				return err
			}
		}
		return conflict("letter %s was not %s: %s", number, w.done, run.Skips[0].Why)
	}
}

// onEachLetter does the work with the letters that a filter selects.
func (r remote) onEachLetter(ctx context.Context, cmd *cli.Command, c *client.Client, w letterWork, filters map[string]any) error {
	db := cmd.Args().First()
	if w.asks && !cmd.Bool("dry-run") {
		if err := r.needsForce(cmd); err != nil {
			return err
		}
	}
	selected := -1
	if cmd.Bool("dry-run") || w.asks && !cmd.Bool("force") {
		var err error
		if selected, err = r.countLetters(ctx, cmd, c, filters); err != nil {
			return err
		}
		switch {
		case cmd.Bool("dry-run") && cmd.Bool("json"):
			return r.raw(fmt.Appendf(nil, `{"would_%s":%d}`, w.verb, selected))
		case cmd.Bool("dry-run"):
			return r.line("would %s %s of %s", w.verb, counted(selected, "letter"), db)
		case selected == 0: // what dies from now on was not asked about
			answer := fmt.Appendf(nil, `{%q:0,"skipped":0}`, w.done)
			return r.done(cmd, answer, "%s 0 letters of %s", w.done, db)
		}
		if err := r.confirm(ctx, cmd, "%s %s of %s?", w.verb, counted(selected, "letter"), db); err != nil {
			return err
		}
	}
	bar := r.progress(w.doing, int64(selected))
	defer bar.end()
	done, skipped := 0, 0
	for answer, err := range c.Repeat(ctx, deadPath(cmd, w.verb), filters) {
		if err != nil {
			return partly(err, w.done, done)
		}
		var part letterRun
		if err := json.Unmarshal(answer, &part); err != nil {
			return unreadable(err)
		}
		done, skipped = done+part.Redriven+part.Discarded, skipped+part.Skipped
		bar.add(part.Redriven + part.Discarded)
		if cmd.Bool("json") {
			if err := r.raw(answer); err != nil {
				return err
			}
			continue
		}
		for _, skip := range part.Skips {
			bar.aside(func() {
				r.note("skipped letter %d (%q of %s): %s", skip.Sequence, skip.ID, skip.Collection, skip.Why)
			})
		}
	}
	bar.end()
	if cmd.Bool("json") {
		return nil
	}
	but := ""
	if skipped > 0 {
		but = fmt.Sprintf(", and skipped %d", skipped)
	}
	return r.line("%s %s of %s%s", w.done, counted(done, "letter"), db, but)
}

// countLetters counts the letters that a filter selects, as the server has no
// dry run of them.
func (r remote) countLetters(ctx context.Context, cmd *cli.Command, c *client.Client, filters map[string]any) (int, error) {
	bar := r.progress("counting", -1)
	defer bar.end()
	q := query(filters, 0)
	q.Del("all")
	n := 0
	for page, err := range c.Pages(ctx, client.Path("dead", cmd.Args().First()), q) {
		if err != nil {
			return 0, err
		}
		var answer struct{ Dead []struct{} }
		if err := json.Unmarshal(page, &answer); err != nil {
			return 0, unreadable(err)
		}
		n += len(answer.Dead)
		bar.add(len(answer.Dead))
	}
	return n, nil
}
