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

// errDeclined is the answer no.
var errDeclined = errors.New("nothing was done")

// needsForce refuses, before anything is asked of the server, what may not be
// done when nobody is there to confirm it.
func (r remote) needsForce(cmd *cli.Command) error {
	if !r.Terminal && !cmd.Bool("force") {
		return usagef("%s asks first, and there is nobody at a terminal; --force does it without asking", cmd.FullName())
	}
	return nil
}

// confirm asks whether to go on, unless --force says so. Only yes is yes.
func (r remote) confirm(ctx context.Context, cmd *cli.Command, question string, args ...any) error {
	if cmd.Bool("force") {
		return nil
	}
	fmt.Fprintf(r.Stderr, "%s [y/N] ", printable(fmt.Sprintf(question, args...)))
	answer := make(chan string, 1)
	go func() { // stays behind when a signal ends the program instead
		line, _ := bufio.NewReader(r.Stdin).ReadString('\n') // none is no
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
