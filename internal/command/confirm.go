package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"
)

const forceUsage = "do it without asking"

// errDeclined means that the answer was no.
var errDeclined = errors.New("nothing was done")

// needsForce refuses an action that nobody is there to confirm, before it asks the
// server anything.
func (r remote) needsForce(cmd *cli.Command) error {
	if !r.Terminal && !cmd.Bool("force") {
		return usagef("%s asks first, and there is nobody at a terminal; --force does it without asking", cmd.FullName())
	}
	return nil
}

// confirm asks whether to continue, unless --force is given. Only "yes" means yes.
func (r remote) confirm(ctx context.Context, cmd *cli.Command, question string, args ...any) error {
	if cmd.Bool("force") {
		return nil
	}
	fmt.Fprintf(r.Stderr, "%s [y/N] ", printable(fmt.Sprintf(question, args...)))
	answer := make(chan string, 1)
	go func() { // the goroutine stays behind if a signal ends the program
		line, _ := bufio.NewReader(r.Stdin).ReadString('\n') // no line means no
		answer <- line
	}()
	select {
	case a := <-answer:
		if !strings.HasSuffix(a, "\n") {
			fmt.Fprintln(r.Stderr)
		}
		if a = strings.ToLower(strings.TrimSpace(a)); a != "y" && a != "yes" {
			return errDeclined
		}
		return nil
	case <-ctx.Done():
		fmt.Fprintln(r.Stderr)
		return ctx.Err()
	}
}
