package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"belfry/internal/command"
)

// setting is one field of [Config] as people set it: by a flag, or otherwise by the
// environment variable of the same name. An empty variable counts as unset.
type setting struct {
	name    string // of the flag, without the dashes
	def     string // the default as one would write it; empty is none
	value   string // stands for the value in the help
	usage   string // says in the help what it is
	accepts string // completes an error about a value
	secret  bool   // the value stays out of errors
	toggle  bool   // the flag alone means true
	list    bool   // the flag may be repeated; its values get commas between them
	common  string // a variable of all NATS tools, used where nothing else speaks

	set   func(*Config, string) bool // false: the value is not accepted
	valid func(Config) bool
	zero  func(Config) bool
}

// env is the name of the setting's own environment variable.
func (s setting) env() string {
	return "BELFRY_" + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// help is the usage, with the variables.
func (s setting) help() string {
	if s.common != "" {
		return s.usage + " [$" + s.env() + ", $" + s.common + "]"
	}
	return s.usage + " [$" + s.env() + "]"
}

// field ties a setting to its place in [Config]: parse reads a value as people write it,
// and valid checks it, however it was set.
func field[T comparable](s setting, at func(*Config) *T, parse func(string) (T, bool), valid func(T) bool) setting {
	s.set = func(c *Config, text string) bool {
		v, ok := parse(text)
		if !ok || !valid(v) {
			return false
		}
		*at(c) = v
		return true
	}
	s.valid = func(c Config) bool { return valid(*at(&c)) }
	s.zero = func(c Config) bool { var zero T; return *at(&c) == zero }
	return s
}

// fileSetting is a [field] with the path of a file, which is read later.
func fileSetting(s setting, at func(*Config) *string) setting {
	s.value = "FILE"
	return field(s, at, text, anything)
}

// toggleSetting is a [field] that is off unless its flag stands there.
func toggleSetting(s setting, at func(*Config) *bool) setting {
	s.def, s.toggle, s.accepts = "false", true, "true and false are accepted"
	return field(s, at, boolean, anything)
}

// serveFlags makes the command line's flags. Their values stay text until [configFrom]
// reads them, so that each error names the flag or the variable that the value came
// from.
func serveFlags() []cli.Flag {
	var flags []cli.Flag
	for _, s := range flagTable() {
		if s.list {
			flags = append(flags, list{StringSliceFlag: &cli.StringSliceFlag{Name: s.name, Usage: s.help()}, Placeholder: s.value})
			continue
		}
		f := flag{StringFlag: &cli.StringFlag{Name: s.name, Value: s.def, Usage: s.help()}, Placeholder: s.value}
		if s.toggle {
			flags = append(flags, toggle{f})
		} else {
			flags = append(flags, f)
		}
	}
	return flags
}

// configFrom reads the settings: a flag beats the environment, which beats the default.
// Settings that exclude each other are errors, see [givenSettings.check].
func configFrom(cmd *cli.Command, getenv func(string) string) (Config, error) {
	var c Config
	given := givenSettings{}
	silent := silenced(cmd, getenv)
	for _, s := range flagTable() {
		from, value := "", s.def
		if v := getenv(s.common); s.common != "" && v != "" && !silent[s.name] {
			from, value = s.common, v
		}
		if v := getenv(s.env()); v != "" {
			from, value = s.env(), v
		}
		if cmd.IsSet(s.name) {
			from, value = "--"+s.name, cmd.String(s.name)
			if s.list {
				value = strings.Join(cmd.StringSlice(s.name), ",")
			}
		}
		if s.set(&c, value) {
			if value != "" {
				given[s.name] = from
			}
			continue
		}
		if s.secret {
			return Config{}, fmt.Errorf("%s: %s", from, s.accepts)
		}
		return Config{}, fmt.Errorf("%s %q: %s", from, value, s.accepts)
	}
	if err := given.check(c); err != nil {
		return Config{}, err
	}
	return c, nil
}

// flag and list show in the help what stands for their values.
type (
	flag = command.Flag
	list = command.List
)

// toggle is a flag that may stand alone, meaning true.
type toggle struct{ flag }

func (toggle) IsBoolFlag() bool { return true }
func (toggle) TakesValue() bool { return false }
func (t toggle) String() string { return cli.FlagStringer(t) }
