package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"github.com/urfave/cli/v3"

	"belfry/internal/client"
)

// show prints an answer: as it is with --json, else as people read it.
func (r remote) show(cmd *cli.Command, answer json.RawMessage, into any, people func() error) error {
	if cmd.Bool("json") {
		return r.raw(answer)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return unreadable(err)
	}
	return people()
}

// done prints the answer to a change: the server's with --json, else a line.
func (r remote) done(cmd *cli.Command, answer json.RawMessage, format string, args ...any) error {
	return r.show(cmd, answer, &struct{}{}, func() error { return r.line(format, args...) })
}

// raw prints JSON on a line of its own.
func (r remote) raw(answer json.RawMessage) error {
	_, err := fmt.Fprintf(r.Stdout, "%s\n", harmless(answer))
	return err
}

// line prints a line for people.
func (r remote) line(format string, args ...any) error {
	_, err := fmt.Fprintln(r.Stdout, printable(fmt.Sprintf(format, args...)))
	return err
}

// note prints a line beside the output, for people.
func (r remote) note(format string, args ...any) {
	fmt.Fprintln(r.Stderr, printable(fmt.Sprintf(format, args...))) // at best effort
}

func unreadable(err error) error {
	return fmt.Errorf("couldn't read the answer of the server: %w", err)
}

// listing is a list of the server, and how it is shown.
type listing[T any] struct {
	path   string
	query  url.Values
	field  string // of the answer, that has the elements
	what   string // they are called
	header []string
	row    func(T) []string
}

// list prints a list page by page, in columns or with --json an element a line,
// and holds no more than a page. limit is how many elements are wanted; 0 is all.
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

// table prints rows in columns, which never get narrower than they were.
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

// facts prints what is known of one thing, a fact on a line. Facts without a
// value are left out.
func (r remote) facts(rows [][]string) error {
	var known [][]string
	for _, row := range rows {
		if row[1] != "" {
			known = append(known, row)
		}
	}
	return (&table{w: r.Stdout}).print(known)
}

// printable has U+FFFD for what a terminal would obey: control characters, and
// those that change the direction of the text.
func printable(s string) string { return filter(s, "") }

// Printable is text with U+FFFD for what a terminal would obey, except the ends
// of lines and tabs.
func Printable(s string) string { return filter(s, "\n\t") }

func filter(s, keep string) string {
	const zeroWidthJoiner = '\u200d' // of emojis
	return strings.Map(func(c rune) rune {
		if unicode.IsGraphic(c) || c == zeroWidthJoiner || strings.ContainsRune(keep, c) {
			return c
		}
		return unicode.ReplacementChar
	}, s)
}

// harmless is the same JSON, on one line, with escapes for the characters of
// [printable] that JSON may have as they are.
func harmless(answer json.RawMessage) []byte {
	var line bytes.Buffer
	if err := json.Compact(&line, answer); err != nil {
		return []byte(strconv.Quote(string(answer))) // never: the client has looked
	}
	out := make([]byte, 0, line.Len())
	for rest := line.Bytes(); len(rest) > 0; {
		c, size := utf8.DecodeRune(rest)
		switch {
		case c == utf8.RuneError: // also in the place of bytes that are no UTF-8
			out = utf8.AppendRune(out, c)
		case unicode.IsGraphic(c):
			out = append(out, rest[:size]...)
		case c > 0xffff:
			high, low := (c-0x10000)>>10+0xd800, (c-0x10000)&0x3ff+0xdc00
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, c)
		}
		rest = rest[size:]
	}
	return out
}
