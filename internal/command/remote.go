// Package command has the commands that talk to a running service. They turn
// arguments into requests of its HTTP API, and answers into tables for people or JSON
// for scripts. The package knows the program's exit codes, but not how the service
// works.
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

// Env is the environment that the commands run in.
type Env struct {
	Getenv         func(string) string
	Stdin          io.Reader
	Stdout, Stderr io.Writer

	// Terminal says that a person reads Stderr and answers on Stdin. Without one, no
	// command asks for confirmation and none shows its progress.
	Terminal bool

	// Now returns the time, in the zone in which times are read and shown; nil means
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

// remote is the environment of the commands that talk to a running service.
type remote struct{ Env }

// run is the work of a command with the server that its flags name.
type run func(context.Context, *cli.Command, *client.Client) error

// command makes a command that talks to a server, with the flags that all such
// commands have. args names the arguments after the flags, one word each, in brackets
// if optional.
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

// takes checks the arguments: their number, and that none is empty.
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
