package wire

import (
	"fmt"
	"strings"

	"belfry/internal/job"
)

// PrefixMarkdown returns the table of names with and without a prefix, as
// docs/cluster.md prints it.
func PrefixMarkdown() string {
	var b strings.Builder
	b.WriteString("| what | without | with `team1` |\n|---|---|---|\n")
	route := job.RouteKey{DB: "games", ID: "turns"}
	for _, row := range []struct {
		what string
		name func(Names) string
	}{
		{"streams", Names.FiresStream},
		{"buckets", func(n Names) string { return n.JobsBucket(0) }},
		{"subjects of fires", func(n Names) string { return n.FireSubject(route) }},
		{"subjects of the service", func(n Names) string { return n.Subject("belfry.job.create.games.c") }},
		{"the service", func(n Names) string { return "$SRV.INFO." + n.Service("belfry") }},
		{"what users of an embedded server ask", func(n Names) string {
			return n.SubscriberAPI() + strings.TrimSuffix(n.InboxInfo(), "*") + InboxConsumer(route)
		}},
		{"acks", func(n Names) string {
			return strings.TrimSuffix(n.InboxAcks(), ">") + InboxConsumer(route) + ".>"
		}},
	} {
		fmt.Fprintf(&b, "| %s | `%s` | `%s` |\n", row.what, row.name(""), row.name("team1"))
	}
	return b.String()
}
