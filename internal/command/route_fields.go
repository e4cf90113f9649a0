package command

import (
	"context"
	"encoding/json"
	"maps"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"belfry/internal/job"
)

// fieldFlag is the flag for a field of a route's policy.
type fieldFlag struct {
	field       string // of [job.PolicyFields]
	name        string // of the flag
	placeholder string
	read        func(context.Context, remote, *cli.Command, string) (any, error) // nil for a flag without a value
}

// fieldFlagTable has a flag for every field. The server validates the values.
var fieldFlagTable = []fieldFlag{
	{"retry.max_attempts", "max-attempts", "NUMBER", number},
	{"retry.min_backoff_ms", "min-backoff", "DURATION", inMillis},
	{"retry.max_backoff_ms", "max-backoff", "DURATION", inMillis},
	{"retry.multiplier", "multiplier", "NUMBER", number},
	{"retry.jitter", "jitter", "NUMBER", number},
	{"retry.schedule_ms", "schedule", "DURATIONS", eachInMillis},
	{"retry.max_age_ms", "max-age", "DURATION", inMillis},
	{"timeout_ms", "timeout", "DURATION", inMillis},
	{"method", "method", "METHOD", word},
	{"content_type", "content-type", "TYPE", word},
	{"headers", "header", "'NAME: VALUE'", headers},
	{"final_statuses", "final-statuses", "STATUSES", statuses},
	{"secret", "secret", "SECRET", func(ctx context.Context, r remote, cmd *cli.Command, _ string) (any, error) {
		return r.Secret(ctx, cmd)
	}},
	{"concurrency", "concurrency", "NUMBER", number},
	{"rate_limit.per_second", "rate", "NUMBER", number},
	{"rate_limit.burst", "burst", "NUMBER", number},
	{"max_lateness_ms", "max-lateness", "DURATION", inMillis},
	{"ack_wait_ms", "ack-wait", "DURATION", inMillis},
	{"max_deliver", "max-deliver", "NUMBER", number},
	{"backoff_ms", "backoff", "DURATIONS", eachInMillis},
	{"paused", "paused", "", nil},
	{"paused_until", "paused-until", "TIME", func(_ context.Context, r remote, cmd *cli.Command, name string) (any, error) {
		return r.moment(cmd, name)
	}},
}

// fieldFlags makes the flags of the table.
func fieldFlags() []cli.Flag {
	meaning := map[string]string{}
	for _, f := range job.PolicyFields() {
		meaning[f.Name] = usageOf(f)
	}
	var flags []cli.Flag
	for _, f := range fieldFlagTable {
		switch {
		case f.read == nil:
			flags = append(flags, yes(f.name, meaning[f.field]))
		case f.field == "headers":
			flags = append(flags, texts(f.name, f.placeholder, meaning[f.field]))
		default:
			flags = append(flags, text(f.name, f.placeholder, meaning[f.field]))
		}
	}
	return flags
}

// usageOf returns the meaning of a field in the style of the help.
func usageOf(f job.PolicyField) string {
	meaning, _, _ := strings.Cut(f.Meaning, ". ") // the rest is about the JSON
	meaning = strings.TrimSuffix(strings.TrimSuffix(meaning, "."), ", see below")
	usage := strings.ToLower(meaning[:1]) + meaning[1:] + "; "
	if len(f.For) == 1 {
		usage += string(f.For[0]) + " only, "
	}
	usage += f.Name
	if ms, err := strconv.ParseInt(f.Default, 10, 64); err == nil && strings.HasSuffix(f.Name, "_ms") {
		usage += ", default " + roughly(ms)
	} else if f.Default != "" {
		usage += ", default " + f.Default
	}
	return strings.ReplaceAll(usage, "`", "")
}

// setFields sets the fields of a route whose flags are given.
func (r remote) setFields(ctx context.Context, cmd *cli.Command, route map[string]any) error {
	if cmd.IsSet("url") {
		route["webhook_url"] = cmd.String("url")
	}
	for _, f := range fieldFlagTable {
		if !cmd.IsSet(f.name) {
			continue
		}
		value := any(cmd.Bool(f.name))
		if f.read != nil {
			var err error
			if value, err = f.read(ctx, r, cmd, f.name); err != nil {
				return err
			}
		}
		set(route, f.field, value)
	}
	return nil
}

// set sets a field, which may be inside an object. Headers are set one by one: the
// values of the others cannot be read back and sent again.
func set(o map[string]any, name string, value any) {
	if given, ok := value.(map[string]string); ok {
		setHeaders(o, name, given)
		return
	}
	outer, inner, nested := strings.Cut(name, ".")
	if !nested {
		o[name] = value
		return
	}
	in, ok := o[outer].(map[string]any)
	if !ok {
		in = map[string]any{}
		o[outer] = in
	}
	set(in, inner, value)
}

func setHeaders(o map[string]any, field string, given map[string]string) {
	all, ok := o[field].(map[string]any)
	if !ok {
		all = map[string]any{}
		o[field] = all
	}
	for name, value := range given {
		unsetHeader(all, name)
		all[name] = value
	}
}

// unsetHeader removes a header if it exists, in whatever case its name is written.
func unsetHeader(all map[string]any, name string) bool {
	was := len(all)
	maps.DeleteFunc(all, func(is string, _ any) bool { return job.CanonicalHeader(is) == job.CanonicalHeader(name) })
	return len(all) < was
}

// unset removes a field if it exists. A secret is set to null instead, since it would
// otherwise stay.
func unset(o map[string]any, name string) bool {
	if outer, inner, nested := strings.Cut(name, "."); nested {
		in, ok := o[outer].(map[string]any)
		if outer == "headers" { // header names may have dots
			return unsetHeader(in, inner)
		}
		return ok && unset(in, inner)
	}
	_, ok := o[name]
	switch {
	case !ok || name == "id" || name == "type":
		return false
	case name == "secret":
		o[name] = nil
	default:
		delete(o, name)
	}
	return true
}

func word(_ context.Context, _ remote, cmd *cli.Command, name string) (any, error) {
	return cmd.String(name), nil
}

func number(_ context.Context, _ remote, cmd *cli.Command, name string) (any, error) {
	n := json.Number(cmd.String(name))
	if _, err := n.Float64(); err != nil || !json.Valid([]byte(n)) {
		return nil, usagef("--%s %q: a number is accepted", name, cmd.String(name))
	}
	return n, nil
}

func inMillis(_ context.Context, _ remote, cmd *cli.Command, name string) (any, error) {
	d, ok := parseDuration(cmd.String(name))
	if !ok {
		return nil, usagef("--%s %q: %s", name, cmd.String(name), durationAccepts)
	}
	return d.Milliseconds(), nil
}

func eachInMillis(_ context.Context, _ remote, cmd *cli.Command, name string) (any, error) {
	all := []int64{}
	for one := range strings.SplitSeq(cmd.String(name), ",") {
		d, ok := parseDuration(strings.TrimSpace(one))
		if !ok {
			return nil, usagef("--%s %q: durations are accepted with commas between them, as in 1s,10s,5m", name, cmd.String(name))
		}
		all = append(all, d.Milliseconds())
	}
	return all, nil
}

// headers reads the headers of a flag. Its errors quote no value.
func headers(_ context.Context, _ remote, cmd *cli.Command, name string) (any, error) {
	all := map[string]string{}
	for i, one := range cmd.StringSlice(name) {
		header, value, ok := strings.Cut(one, ":")
		if !ok {
			return nil, usagef("--%s number %d has no colon; a name and a value are accepted, as in 'Authorization: Bearer x'", name, i+1)
		}
		header = job.CanonicalHeader(strings.TrimSpace(header))
		if _, twice := all[header]; twice {
			return nil, usagef("--%s number %d has the name of an earlier one; each name is accepted once", name, i+1)
		}
		all[header] = strings.TrimSpace(value)
	}
	return all, nil
}

// statuses reads numbers, and classes such as 5xx; "" means none.
func statuses(_ context.Context, _ remote, cmd *cli.Command, name string) (any, error) {
	all := []any{}
	if cmd.String(name) == "" {
		return all, nil
	}
	for one := range strings.SplitSeq(cmd.String(name), ",") {
		one = strings.TrimSpace(one)
		if n, err := strconv.Atoi(one); err == nil {
			all = append(all, n)
		} else {
			all = append(all, one)
		}
	}
	return all, nil
}
