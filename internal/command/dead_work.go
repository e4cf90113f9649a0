package command

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v3"

	"belfry/api/client"
)

// letterWork is something to do with one letter or many.
type letterWork struct {
	verb, done, doing string
	method            string   // with one letter
	under             []string // its path
	asks              bool     // confirm before doing it with many

	// read reads the answer and returns how many letters were done.
	read func(answer []byte) (done int, run client.LetterRun, err error)
}

func readRedriven(answer []byte) (int, client.LetterRun, error) {
	var a client.Redriven
	err := json.Unmarshal(answer, &a)
	return a.Redriven, a.LetterRun, err
}

func readDiscarded(answer []byte) (int, client.LetterRun, error) {
	var a client.Discarded
	err := json.Unmarshal(answer, &a)
	return a.Discarded, a.LetterRun, err
}

func (r remote) onLetters(w letterWork) run {
	return func(ctx context.Context, cmd *cli.Command, c *client.Client) error {
		q, err := r.letterFilters(cmd)
		if err != nil {
			return err
		}
		many, err := selection(cmd, q != client.LetterQuery{}, cmd.Args().Len() == 2, "SEQUENCE")
		switch {
		case err != nil:
			return err
		case many:
			return r.onEachLetter(ctx, cmd, c, w, client.LetterFilter{LetterQuery: q, All: cmd.Bool("all")})
		}
		answer, err := c.Do(ctx, w.method, deadPath(cmd, w.under...), nil)
		if err != nil {
			return err
		}
		_, run, err := w.read(answer)
		if err != nil {
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

// onEachLetter does the work on the letters that a filter selects.
func (r remote) onEachLetter(ctx context.Context, cmd *cli.Command, c *client.Client, w letterWork, filter client.LetterFilter) error {
	db := cmd.Args().First()
	if w.asks && !cmd.Bool("dry-run") {
		if err := r.needsForce(cmd); err != nil {
			return err
		}
	}
	selected := -1
	if cmd.Bool("dry-run") || w.asks && !cmd.Bool("force") {
		var err error
		if selected, err = r.countLetters(ctx, cmd, c, filter.LetterQuery); err != nil {
			return err
		}
		switch {
		case cmd.Bool("dry-run") && cmd.Bool("json"):
			return r.raw(fmt.Appendf(nil, `{"would_%s":%d}`, w.verb, selected))
		case cmd.Bool("dry-run"):
			return r.line("would %s %s of %s", w.verb, counted(selected, "letter"), db)
		case selected == 0: // letters that arrive from now on were not part of the question
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
	for answer, err := range c.Repeat(ctx, deadPath(cmd, w.verb), filter) {
		if err != nil {
			return partly(err, w.done, done)
		}
		n, part, err := w.read(answer)
		if err != nil {
			return unreadable(err)
		}
		done, skipped = done+n, skipped+part.Skipped
		bar.add(n)
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

// countLetters counts the letters that a filter selects, since the server has no dry
// run for them.
func (r remote) countLetters(ctx context.Context, cmd *cli.Command, c *client.Client, q client.LetterQuery) (int, error) {
	bar := r.progress("counting", -1)
	defer bar.end()
	q.Limit = pageSize(0)
	n := 0
	for page, err := range c.Pages(ctx, client.Path("dead", cmd.Args().First()), q.Values()) {
		if err != nil {
			return 0, err
		}
		var answer client.Letters
		if err := json.Unmarshal(page, &answer); err != nil {
			return 0, unreadable(err)
		}
		n += len(answer.Dead)
		bar.add(len(answer.Dead))
	}
	return n, nil
}
