package streams

import (
	"fmt"
	"strings"

	"belfry/internal/job"
	"belfry/streams/routes"
	"belfry/streams/wire"
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
	for _, f := range routes.InboxFields {
		by := "a change of the consumer"
		if f.Remade {
			by = "making the consumer again, behind its last ack floor"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", f.Name, by)
	}
	return b.String()
}

// PrefixMarkdown returns the table of names with and without a prefix, as
// docs/cluster.md prints it.
func PrefixMarkdown() string {
	var b strings.Builder
	b.WriteString("| what | without | with `team1` |\n|---|---|---|\n")
	route := job.RouteKey{DB: "games", ID: "turns"}
	for _, row := range []struct {
		what string
		name func(wire.Names) string
	}{
		{"streams", wire.Names.FiresStream},
		{"buckets", func(n wire.Names) string { return n.JobsBucket(0) }},
		{"subjects of fires", func(n wire.Names) string { return n.FireSubject(route) }},
		{"subjects of the service", func(n wire.Names) string { return n.Subject("belfry.job.create.games.c") }},
		{"the service", func(n wire.Names) string { return "$SRV.INFO." + n.Service("belfry") }},
		{"what users of an embedded server ask", func(n wire.Names) string {
			return n.SubscriberAPI() + strings.TrimSuffix(n.InboxInfo(), "*") + wire.InboxConsumer(route)
		}},
		{"acks", func(n wire.Names) string {
			return strings.TrimSuffix(n.InboxAcks(), ">") + wire.InboxConsumer(route) + ".>"
		}},
	} {
		fmt.Fprintf(&b, "| %s | `%s` | `%s` |\n", row.what, row.name(""), row.name("team1"))
	}
	return b.String()
}
