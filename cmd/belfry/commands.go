package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"belfry/internal/command"
)

// newCommand returns the whole command line. Its Run returns every mistake as an error.
func newCommand(env command.Env) *cli.Command {
	root := &cli.Command{
		Name:           "belfry",
		Usage:          "a durable timer service on NATS JetStream",
		Writer:         env.Stdout,
		ErrWriter:      env.Stderr,
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // main exits
		OnUsageError:   usageError,

		EnableShellCompletion:           true,
		ConfigureShellCompletionCommand: completionCommand,

		Flags: []cli.Flag{&cli.BoolFlag{Name: "version", Usage: "print the version", Local: true, HideDefault: true}},
		Action: func(_ context.Context, cmd *cli.Command) error {
			switch {
			case cmd.Args().Present():
				return command.Usage(fmt.Errorf("unknown command %q; see \"belfry --help\"", cmd.Args().First()))
			case cmd.Bool("version"):
				return printVersion(env.Stdout)
			}
			return cli.ShowRootCommandHelp(cmd)
		},
		Commands: []*cli.Command{
			{
				Name:  serveName,
				Usage: "run the service until SIGINT or SIGTERM",
				Flags: serveFlags(),
				Action: func(ctx context.Context, cmd *cli.Command) error {
					cfg, err := configFrom(cmd, env.Getenv)
					if err != nil {
						return command.NeedsPerson(err)
					}
					return serve(ctx, cfg, env.Stderr)
				},
			},
			{
				Name:  "receive",
				Usage: "print the webhooks that arrive, to try things out",
				Flags: []cli.Flag{
					flag{StringFlag: &cli.StringFlag{Name: "listen", Value: "127.0.0.1:9099", Usage: "where to wait for them"}, Placeholder: "HOST:PORT"},
					flag{StringFlag: &cli.StringFlag{Name: "secret", Usage: "refuse those that the route's secret has not signed; @FILE and - for standard input keep it out of lists of processes"}, Placeholder: "SECRET"},
				},
				Action: func(ctx context.Context, cmd *cli.Command) error {
					secret, err := env.Secret(ctx, cmd)
					if err != nil {
						return err
					}
					return receive(ctx, cmd.String("listen"), secret, env.Stdout)
				},
			},
		},
	}
	root.Commands = append(root.Commands, command.Commands(env)...)
	root.Commands = append(root.Commands, &cli.Command{
		Name:  "version",
		Usage: "print the version",
		Action: func(context.Context, *cli.Command) error {
			return printVersion(env.Stdout)
		},
	})
	for _, cmd := range root.Commands {
		complete(cmd)
	}
	root.Commands = append(root.Commands, helpCommand())
	return root
}

// complete adds to a command, and to those under it, what all commands share.
func complete(cmd *cli.Command) {
	cmd.HideHelpCommand = true
	cmd.OnUsageError = usageError
	if len(cmd.Commands) > 0 {
		cmd.Action = func(_ context.Context, cmd *cli.Command) error {
			if cmd.Args().Present() {
				return command.Usage(fmt.Errorf("unknown command %q; see \"%s --help\"", cmd.Args().First(), cmd.FullName()))
			}
			return cli.ShowSubcommandHelp(cmd)
		}
	} else if cmd.ArgValidator == nil {
		cmd.ArgValidator = noArgs
	}
	for _, sub := range cmd.Commands {
		complete(sub)
	}
}

// completionCommand replaces the texts of the library's command for completion scripts.
func completionCommand(cmd *cli.Command) {
	cmd.Hidden = false
	cmd.Usage = "print a script that has the shell complete belfry's commands and flags"
	complete(cmd)
	for _, shell := range cmd.Commands {
		shell.Usage = "print the script for " + shell.Name
		if shell.Name == "pwsh" {
			shell.Aliases = []string{"powershell"}
		}
	}
}

// helpCommand replaces the library's, which does not read like the rest.
func helpCommand() *cli.Command {
	return &cli.Command{
		Name:            "help",
		Usage:           "show help, of one command if it is named",
		HideHelpCommand: true,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Present() {
				if err := cli.ShowCommandHelp(ctx, cmd.Root(), cmd.Args().First()); err != nil {
					return command.Usage(err)
				}
				return nil
			}
			return cli.ShowRootCommandHelp(cmd.Root())
		},
	}
}

const serveName = "serve"

func usageError(_ context.Context, cmd *cli.Command, err error, _ bool) error {
	return asMistake(cmd, fmt.Errorf("%w; see \"%s --help\"", err, cmd.FullName()))
}

// asMistake marks an error of the command line. A service manager must not keep starting
// a service with such an error.
func asMistake(cmd *cli.Command, err error) error {
	if cmd.Name == serveName {
		return command.NeedsPerson(err)
	}
	return command.Usage(err)
}

func noArgs(_ context.Context, cmd *cli.Command) error {
	if cmd.Args().Present() {
		return asMistake(cmd, fmt.Errorf("unexpected argument %q; see \"%s --help\"", cmd.Args().First(), cmd.FullName()))
	}
	return nil
}
