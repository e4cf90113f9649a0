package api

import (
	"fmt"
	"strings"

	"belfry/internal/job"
)

// need is what a request must have while authentication is on.
type need struct {
	role  job.Role // at least this one, for the db in the path, or for all dbs if it has none
	token bool     // false: nothing at all
}

var (
	open     = need{}
	anyToken = need{token: true}
	reader   = need{job.Reader, true}
	writer   = need{job.Writer, true}
	admin    = need{job.Admin, true}
)

// AccessMarkdown returns each endpoint's needs as the documentation prints them.
func AccessMarkdown() string {
	var b strings.Builder
	b.WriteString("| endpoint | needs |\n|---|---|\n")
	for _, e := range endpoints {
		needs := string(e.needs.role)
		if e.needs == open {
			needs = "nothing"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", e.asked, needs)
	}
	return b.String()
}
