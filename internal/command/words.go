package command

import (
	"fmt"
	"strconv"
	"strings"
)

// counted writes a number of things, with an s for every number but one.
func counted(n int, s string) string {
	if n == 1 {
		return "1 " + s
	}
	return fmt.Sprintf("%d %ss", n, s)
}

// words lists the values that a flag accepts.
func words[T ~string](all []T) string {
	var list []string
	for _, one := range all {
		list = append(list, string(one))
	}
	return strings.Join(list, ", ")
}

// excerpt returns the beginning of a text, for a column.
func excerpt(s string) string {
	const longest = 60
	if c := []rune(s); len(c) > longest {
		return string(c[:longest]) + "…"
	}
	return s
}

// millis writes a fractional number of milliseconds as tables show it.
func millis(ms float64) string { return strconv.FormatFloat(ms, 'f', 1, 64) + "ms" }
