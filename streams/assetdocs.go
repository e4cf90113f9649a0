package streams

import (
	"fmt"
	"strings"
)

// StreamSettingsMarkdown returns the table of the settings of streams that Belfry
// insists on, as docs/operations.md prints it.
func StreamSettingsMarkdown() string {
	var b strings.Builder
	b.WriteString("| setting | otherwise |\n|---|---|\n")
	for _, f := range assetFields {
		fmt.Fprintf(&b, "| `%s` | %s |\n", f.name, f.why)
	}
	return b.String()
}

// ConsumerSettingsMarkdown is the same of the consumers of routes.
func ConsumerSettingsMarkdown() string {
	var b strings.Builder
	b.WriteString("| setting | brought back by |\n|---|---|\n")
	for _, f := range inboxFields {
		by := "a change of the consumer"
		if f.remade {
			by = "making the consumer again, behind its last ack floor"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", f.name, by)
	}
	return b.String()
}
