package routes

import (
	"fmt"
	"strings"
)

// SettingsMarkdown returns the table of the settings of inboxes that Belfry insists on,
// as docs/operations.md prints it.
func SettingsMarkdown() string {
	var b strings.Builder
	b.WriteString("| setting | brought back by |\n|---|---|\n")
	for _, f := range inboxFields {
		by := "a change of the consumer"
		if f.remade {
			by = "making the consumer again, behind its last ack floor"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", f.Name, by)
	}
	return b.String()
}
