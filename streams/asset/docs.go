package asset

import (
	"fmt"
	"strings"
)

// SettingsMarkdown returns the table of the settings of streams that Belfry
// insists on, as docs/operations.md prints it.
func SettingsMarkdown() string {
	var b strings.Builder
	b.WriteString("| setting | otherwise |\n|---|---|\n")
	for _, f := range fields {
		fmt.Fprintf(&b, "| `%s` | %s |\n", f.Name, f.why)
	}
	return b.String()
}
