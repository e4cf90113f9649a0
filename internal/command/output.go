package command

import (
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v3"
)

// show prints an answer: as JSON with --json, otherwise in a form for people.
func (r remote) show(cmd *cli.Command, answer json.RawMessage, into any, people func() error) error {
	if cmd.Bool("json") {
		return r.raw(answer)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return unreadable(err)
	}
	return people()
}

// done prints the answer to a change: the server's with --json, otherwise a line.
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

// note prints a line for people to standard error, separate from the output.
func (r remote) note(format string, args ...any) {
	fmt.Fprintln(r.Stderr, printable(fmt.Sprintf(format, args...))) // best effort
}

func unreadable(err error) error {
	return fmt.Errorf("couldn't read the answer of the server: %w", err)
}
