package command

import "github.com/urfave/cli/v3"

// Flag is a flag whose help shows a placeholder for its value.
type Flag struct {
	*cli.StringFlag
	Placeholder string
}

func (f Flag) TypeName() string { return f.Placeholder }
func (f Flag) String() string   { return cli.FlagStringer(f) }

// List is a flag that may be repeated.
type List struct {
	*cli.StringSliceFlag
	Placeholder string
}

func (l List) TypeName() string { return l.Placeholder }
func (l List) String() string   { return cli.FlagStringer(l) }

func text(name, placeholder, usage string) cli.Flag {
	return Flag{&cli.StringFlag{Name: name, Usage: usage}, placeholder}
}

func texts(name, placeholder, usage string) cli.Flag {
	return List{&cli.StringSliceFlag{Name: name, Usage: usage + "; may be repeated"}, placeholder}
}

func yes(name, usage string) cli.Flag {
	return &cli.BoolFlag{Name: name, Usage: usage, HideDefault: true}
}
