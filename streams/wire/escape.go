package wire

import (
	"fmt"
	"strconv"
	"strings"
)

// Escape turns any text into one subject token, key part or header value:
// each byte outside [A-Za-z0-9_-] becomes "=" and two upper-case hex digits,
// as in quoted-printable. All characters of the result are allowed in NATS
// subjects, KV keys and consumer names alike.
func Escape(s string) string {
	n := 0
	for i := range len(s) {
		if !plain(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '=', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

// Unescape undoes [Escape]. Text that Escape cannot have produced is an error, so that
// two keys never mean the same job.
func Unescape(s string) (string, error) {
	if strings.IndexByte(s, '=') < 0 {
		if bad := strings.IndexFunc(s, func(r rune) bool { return r > 0x7f || !plain(byte(r)) }); bad >= 0 {
			return "", fmt.Errorf("%q has the character %q unescaped; only A-Z a-z 0-9 _ - stand for themselves", s, s[bad:bad+1])
		}
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '=' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("%q ends within an escape; = and two hex digits are accepted", s)
		}
		v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("%q has the escape %q; = and two hex digits are accepted", s, s[i:i+3])
		}
		b = append(b, byte(v))
		i += 2
	}
	if text := string(b); Escape(text) == s {
		return text, nil
	}
	return "", fmt.Errorf("%q is not how its text is escaped", s)
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}
