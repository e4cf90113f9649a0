package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable replaces the characters that a terminal would obey by U+FFFD: control
// characters, and those that change the direction of the text.
func printable(s string) string { return filter(s, "") }

// Printable replaces the characters that a terminal would obey by U+FFFD, except
// newlines and tabs.
func Printable(s string) string { return filter(s, "\n\t") }

func filter(s, keep string) string {
	const zeroWidthJoiner = '\u200d' // emojis use it
	return strings.Map(func(c rune) rune {
		if unicode.IsGraphic(c) || c == zeroWidthJoiner || strings.ContainsRune(keep, c) {
			return c
		}
		return unicode.ReplacementChar
	}, s)
}

// harmless returns the same JSON on one line, with escapes for those characters that
// [printable] replaces and JSON may contain raw.
func harmless(answer json.RawMessage) []byte {
	var line bytes.Buffer
	if err := json.Compact(&line, answer); err != nil {
		return []byte(strconv.Quote(string(answer))) // never happens: the client has checked it
	}
	out := make([]byte, 0, line.Len())
	for rest := line.Bytes(); len(rest) > 0; {
		c, size := utf8.DecodeRune(rest)
		switch {
		case c == utf8.RuneError: // also stands for bytes that are not UTF-8
			out = utf8.AppendRune(out, c)
		case unicode.IsGraphic(c):
			out = append(out, rest[:size]...)
		case c > 0xffff:
			high, low := (c-0x10000)>>10+0xd800, (c-0x10000)&0x3ff+0xdc00
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, c)
		}
		rest = rest[size:]
	}
	return out
}
