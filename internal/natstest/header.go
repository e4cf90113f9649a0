package natstest

import (
	"strings"

	"github.com/nats-io/nats.go"
)

// ParseHeader reads one header a line, as in a=b. Fuzz tests have headers in this form.
func ParseHeader(lines string) nats.Header {
	h := nats.Header{}
	for line := range strings.Lines(lines) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		h[name] = append(h[name], value)
	}
	return h
}

// FormatHeader writes headers as [ParseHeader] reads them, with the first value of each.
func FormatHeader(h nats.Header) string {
	var b strings.Builder
	for name, values := range h {
		b.WriteString(name + "=" + values[0] + "\n")
	}
	return b.String()
}
