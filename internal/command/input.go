package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"belfry/internal/job"
)

// maxInput bounds how much of a file is read for one request. The server accepts
// less.
const maxInput = 64 << 20

// value returns the text of a flag. @FILE stands for the content of a file and - for
// standard input; both keep the text out of process lists.
func (e Env) value(ctx context.Context, cmd *cli.Command, name string) (string, error) {
	given := cmd.String(name)
	file, fromFile := strings.CutPrefix(given, "@")
	switch {
	case given == "-" || file == "-":
		return e.content(ctx, "--"+name, "-")
	case fromFile:
		return e.content(ctx, "--"+name, file)
	}
	return given, nil
}

// Secret reads the --secret of a command; it is empty if there is none.
func (e Env) Secret(ctx context.Context, cmd *cli.Command) (string, error) {
	if !cmd.IsSet("secret") {
		return "", nil
	}
	secret, err := e.value(ctx, cmd, "secret")
	if secret = strings.TrimSpace(secret); err == nil && secret == "" {
		err = usagef("--secret is empty; %s", job.AcceptedIn("secret"))
	}
	return secret, err
}

// content reads a file, or standard input if the name is -. what names it in errors.
func (e Env) content(ctx context.Context, what, file string) (string, error) {
	in, err := e.open(ctx, file)
	if err != nil {
		return "", usagef("%s: %w", what, err)
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", usagef("%s: %w", what, err)
	case len(data) > maxInput:
		return "", usagef("%s: %q has more than %d bytes, which no server accepts", what, file, maxInput)
	}
	return string(data), nil
}

// open opens a file, or standard input if the name is -.
func (e Env) open(ctx context.Context, file string) (io.ReadCloser, error) {
	switch file {
	case "-":
		return withoutMark(interruptible(ctx, e.Stdin)), nil
	case "":
		return nil, errors.New("the name of the file is empty; FILE is accepted, and - for standard input")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		f.Close()
		return nil, fmt.Errorf("%s is a folder; a file is accepted", file)
	}
	return withoutMark(f), nil
}

// interruptible reads from in until ctx ends. A read of a terminal ends only when
// somebody types, so such a read stays behind.
func interruptible(ctx context.Context, in io.Reader) io.ReadCloser {
	out, feed := io.Pipe()
	go func() {
		_, err := io.Copy(feed, in)
		feed.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { feed.CloseWithError(ctx.Err()) })
	return out
}

// meta returns the --data of a job, byte for byte; it returns false if there is none.
func (r remote) meta(ctx context.Context, cmd *cli.Command) (json.RawMessage, bool, error) {
	if !cmd.IsSet("data") {
		return nil, false, nil
	}
	data, err := r.value(ctx, cmd, "data")
	if err != nil {
		return nil, false, err
	}
	data = strings.TrimSpace(data)
	if !json.Valid([]byte(data)) {
		return nil, false, usagef(`--data is no JSON; JSON is accepted, as in '{"a":1}' and '"text"', @FILE, and - for standard input`)
	}
	return json.RawMessage(data), true, nil
}

// due returns the time of --in or --at, in unix milliseconds; it returns false if
// neither is given.
func (r remote) due(cmd *cli.Command, now time.Time) (int64, bool, error) {
	in, at := cmd.IsSet("in"), cmd.IsSet("at")
	switch {
	case in && at:
		return 0, false, usagef("--in and --at exclude each other")
	case in:
		d, ok := parseDuration(cmd.String("in"))
		if !ok {
			return 0, false, usagef("--in %q: %s", cmd.String("in"), durationAccepts)
		}
		return now.Add(d).UnixMilli(), true, nil
	case at:
		ms, err := r.moment(cmd, "at")
		return ms, err == nil, err
	}
	return 0, false, nil
}

// moment returns the time of a flag that is given, in unix milliseconds.
func (r remote) moment(cmd *cli.Command, name string) (int64, error) {
	ms, ok := parseMoment(cmd.String(name), r.now())
	if why := notOneMoment(cmd.String(name), r.now().Location()); !ok && why != "" {
		return 0, usagef("--%s %q: %s", name, cmd.String(name), why)
	}
	if !ok {
		return 0, usagef("--%s %q: %s", name, cmd.String(name), momentAccepts)
	}
	return ms, nil
}

// filterFlag is a flag that selects, and the field of the request that it sets.
type filterFlag struct {
	name   string
	text   *string
	moment **int64 // instead of text
}

// filters sets the fields whose flags are given.
func (r remote) filters(cmd *cli.Command, all ...filterFlag) error {
	for _, f := range all {
		switch given := cmd.String(f.name); {
		case !cmd.IsSet(f.name):
		case f.moment != nil:
			ms, err := r.moment(cmd, f.name)
			if err != nil {
				return err
			}
			*f.moment = &ms
		case given == "":
			return usagef("--%s is empty; leave it out to select all", f.name)
		default:
			*f.text = given
		}
	}
	return nil
}

// limit returns the number of --limit; 0 means all.
func limit(cmd *cli.Command) (int, error) {
	if n := cmd.Int("limit"); !cmd.IsSet("limit") || n > 0 {
		return n, nil
	}
	return 0, usagef("--limit %d: 1 or more is accepted; without it all are listed", cmd.Int("limit"))
}

func limitFlag() cli.Flag {
	return &cli.IntFlag{Name: "limit", Usage: "list `NUMBER` at most", HideDefault: true}
}
