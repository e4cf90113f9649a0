package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/rivo/uniseg"
	"github.com/urfave/cli/v3"

	"belfry/api/client"
)

// listing is a list of the server, and how to show it.
type listing[T any] struct {
	path   string
	query  url.Values
	field  string // the answer's field with the elements
	what   string // what to call the elements
	header []string
	row    func(T) []string
}

// list prints a list page by page: in columns, or with --json one element a line. It
// holds at most a page. limit is how many elements are wanted; 0 means all.
func list[T any](ctx context.Context, r remote, cmd *cli.Command, c *client.Client, l listing[T], limit int) error {
	t := table{w: r.Stdout}
	left := limit
	for page, err := range c.Pages(ctx, l.path, l.query) {
		if err != nil {
			return err
		}
		var answer map[string]json.RawMessage
		var elements []json.RawMessage
		if err := json.Unmarshal(page, &answer); err != nil {
			return unreadable(err)
		}
		if err := json.Unmarshal(answer[l.field], &elements); err != nil {
			return unreadable(err)
		}
		if limit > 0 {
			elements = elements[:min(len(elements), left)]
		}
		if err := printPage(r, cmd, &t, l, elements); err != nil {
			return err
		}
		if left -= len(elements); limit > 0 && left == 0 {
			return nil
		}
	}
	if t.widths == nil && !cmd.Bool("json") {
		r.note("no %s", l.what)
	}
	return nil
}

func printPage[T any](r remote, cmd *cli.Command, t *table, l listing[T], elements []json.RawMessage) error {
	var rows [][]string
	if t.widths == nil && len(elements) > 0 {
		rows = append(rows, l.header)
	}
	for _, e := range elements {
		if cmd.Bool("json") {
			if err := r.raw(e); err != nil {
				return err
			}
			continue
		}
		var v T
		if err := json.Unmarshal(e, &v); err != nil {
			return unreadable(err)
		}
		rows = append(rows, l.row(v))
	}
	if cmd.Bool("json") {
		return nil
	}
	return t.print(rows)
}

// table prints rows in columns, which never become narrower.
type table struct {
	w      io.Writer
	widths []int
}

func (t *table) print(rows [][]string) error {
	for _, row := range rows {
		for i, cell := range row {
			row[i] = printable(cell)
			if i == len(t.widths) {
				t.widths = append(t.widths, 0)
			}
			t.widths[i] = max(t.widths[i], uniseg.StringWidth(row[i]))
		}
	}
	var out bytes.Buffer
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			line += cell + strings.Repeat(" ", t.widths[i]-uniseg.StringWidth(cell)+2)
		}
		fmt.Fprintln(&out, strings.TrimRight(line, " "))
	}
	_, err := t.w.Write(out.Bytes())
	return err
}

// facts prints the facts about one thing, one on a line. It omits facts without a
// value.
func (r remote) facts(rows [][]string) error {
	var known [][]string
	for _, row := range rows {
		if row[1] != "" {
			known = append(known, row)
		}
	}
	return (&table{w: r.Stdout}).print(known)
}
