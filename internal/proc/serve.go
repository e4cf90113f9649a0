package proc

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
)

// Serve starts a process that says in its log, on standard error, when it takes
// requests, as belfry does with --log-format json, and returns the line that
// said so. Each line goes to read as well, one after the other, until the process
// has ended. One that takes no requests before ctx ends is killed.
func (p *Process) Serve(ctx context.Context, read func(Line)) (Line, error) {
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Env = p.Env
	log, err := cmd.StderrPipe()
	if err != nil {
		return Line{}, err
	}
	listens := make(chan Line, 1)
	follow := func() {
		lines := bufio.NewScanner(log)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			l := ParseLine(lines.Text())
			read(l)
			if l.Msg == SaysListening {
				select {
				case listens <- l:
				default: // once is enough
				}
			}
		}
		_, _ = io.Copy(io.Discard, log) // after a line that was too long
	}
	if err := p.start(cmd, follow); err != nil {
		return Line{}, err
	}
	select {
	case l := <-listens:
		return l, nil
	case <-p.Ended():
		return Line{}, fmt.Errorf("%s ended before it was ready: %v", p.Name, p.Err())
	case <-ctx.Done():
		_ = p.Kill() // unless it has ended
		return Line{}, fmt.Errorf("%s is not ready: %w", p.Name, ctx.Err())
	}
}
