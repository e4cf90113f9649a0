package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/urfave/cli/v3"

	"belfry/internal/client"
)

// remote is what commands need that talk to a running service.
type remote struct {
	getenv         func(string) string
	stdout, stderr io.Writer
}

// command makes a command of a server: it has the flags of all of them, and run
// gets the client that they ask for. args says in the help what follows the
// flags, one word each.
func (r remote) command(name, usage string, args []string, flags []cli.Flag, run func(context.Context, *cli.Command, *client.Client) error) *cli.Command {
	return &cli.Command{
		Name:      name,
		Usage:     usage,
		ArgsUsage: strings.Join(args, " "),
		Flags: append(flags,
			flag{&cli.StringFlag{Name: "server", Usage: "where the service is, http://127.0.0.1:8080 if nothing says so [$BELFRY_SERVER]"}, "URL"},
			flag{&cli.StringFlag{Name: "token", Usage: "the bearer token to show it [$BELFRY_TOKEN]"}, "TOKEN"},
			&cli.BoolFlag{Name: "json", Usage: "print the answer as the server gave it", HideDefault: true},
		),
		ArgValidator: func(_ context.Context, cmd *cli.Command) error {
			switch n := cmd.Args().Len(); {
			case n < len(args):
				return fmt.Errorf("%s is missing; see \"%s --help\"", args[n], cmd.FullName())
			case n > len(args):
				return fmt.Errorf("unexpected argument %q; see \"%s --help\"", cmd.Args().Get(len(args)), cmd.FullName())
			}
			return nil
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			c, err := client.New(
				cmp.Or(cmd.String("server"), r.getenv("BELFRY_SERVER"), "http://127.0.0.1:8080"),
				cmp.Or(cmd.String("token"), r.getenv("BELFRY_TOKEN")))
			if err != nil {
				return err
			}
			return run(ctx, cmd, c)
		},
	}
}

// show prints an answer: as it is with --json, else as people read it.
func (r remote) show(cmd *cli.Command, answer json.RawMessage, into any, people func() error) error {
	if cmd.Bool("json") {
		_, err := fmt.Fprintf(r.stdout, "%s\n", answer)
		return err
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("couldn't read the answer of the server: %w", err)
	}
	return people()
}

// table prints rows in columns. Control characters, which a terminal would obey,
// are printed as U+FFFD.
func (r remote) table(rows [][]string) error {
	t := tabwriter.NewWriter(r.stdout, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(t, strings.Map(func(c rune) rune {
			if unicode.IsControl(c) && c != '\t' {
				return unicode.ReplacementChar
			}
			return c
		}, strings.Join(row, "\t")))
	}
	return t.Flush()
}

// moment is a time as tables show it; "" for none.
func moment(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).Format(time.DateTime)
}
