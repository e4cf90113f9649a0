// Package command has the commands that talk to a running service: they turn
// arguments into requests of its HTTP API, and answers into tables for people
// or JSON for scripts. It knows the program's exit codes, and nothing of how
// the service works.
package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"belfry/api/client"
)

// Env is what the commands know of the world around them.
type Env struct {
	Getenv         func(string) string
	Stdin          io.Reader
	Stdout, Stderr io.Writer

	// Terminal says that a person reads Stderr and answers on Stdin. Without
	// one no command asks, and none shows its progress.
	Terminal bool

	// Now is the time in the zone that times are read and shown in; nil is
	// [time.Now].
	Now func() time.Time
}

func (e Env) now() time.Time {
	if e.Now == nil {
		return time.Now()
	}
	return e.Now()
}

// Commands returns the commands of this package.
func Commands(env Env) []*cli.Command {
	r := remote{env}
	return []*cli.Command{jobCommand(r), routeCommand(r), deadCommand(r), tokenCommand(r), statusCommand(r), backupCommand(r), restoreCommand(r)}
}

// remote is what commands need that talk to a running service.
type remote struct{ Env }

// run is what a command does with the server that its flags ask for.
type run func(context.Context, *cli.Command, *client.Client) error

// command makes a command of a server: it has the flags of all of them. args
// says what follows the flags, one word each, in brackets if it may be left out.
func (r remote) command(name, usage string, args []string, flags []cli.Flag, do run) *cli.Command {
	return &cli.Command{
		Name:      name,
		Usage:     usage,
		ArgsUsage: strings.Join(args, " "),
		Flags: append(flags,
			text("server", "URL", "where the service is, http://127.0.0.1:8080 if nothing says so [$BELFRY_SERVER]"),
			text("token", "TOKEN", "the bearer token to show it [$BELFRY_TOKEN]"),
			yes("json", "print the answer as the server gave it; of a list, each element on a line"),
		),
		DisableSliceFlagSeparator: true, // dbs and headers may have commas
		ArgValidator:              takes(args),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			c, err := client.New(
				cmp.Or(cmd.String("server"), r.Getenv("BELFRY_SERVER"), "http://127.0.0.1:8080"),
				cmp.Or(cmd.String("token"), r.Getenv("BELFRY_TOKEN")))
			if err != nil {
				return Usage(err)
			}
			if err = do(ctx, cmd, c); errors.Is(err, client.ErrUnreachable) && ctx.Err() == nil {
				return fmt.Errorf("%w; --server or BELFRY_SERVER says where it is", err)
			}
			return err
		},
	}
}

// takes checks the arguments: how many there are, and that none is empty.
func takes(args []string) cli.ArgValidatorFunc {
	needed := len(args)
	for needed > 0 && strings.HasPrefix(args[needed-1], "[") {
		needed--
	}
	return func(_ context.Context, cmd *cli.Command) error {
		given := cmd.Args().Slice()
		switch empty := slices.Index(given, ""); {
		case len(given) < needed:
			return Usage(fmt.Errorf("%s is missing; see \"%s --help\"", args[len(given)], cmd.FullName()))
		case len(given) > len(args):
			return Usage(fmt.Errorf("unexpected argument %q; see \"%s --help\"", given[len(args)], cmd.FullName()))
		case empty >= 0:
			return Usage(fmt.Errorf("%s is empty; see \"%s --help\"", strings.Trim(args[empty], "[]"), cmd.FullName()))
		}
		return nil
	}
}
