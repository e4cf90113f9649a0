// Package fault lists the faults that Belfry reports to its operator: their words,
// what Belfry does by itself, and what is left to do. The code takes the words from
// here, and docs/operations.md shows the table.
package fault

import (
	"fmt"
	"strings"
)

// These are the words of each fault. They are the constant part of a log line, an
// error or an answer; facts follow them.
const (
	StreamMissing      = "a stream that Belfry has made is gone"
	StreamUnreadable   = "files of a stream cannot be opened"
	StreamUnrecovered  = "the server did not recover a stream whose files are there"
	ConsumerUnreadable = "files of a consumer cannot be opened"
	ManifestKeyGone    = "the bucket belfry is gone, while other streams of Belfry are there"
	ManifestBad        = "the manifest cannot be read"
	PartitionsDiffer   = "the number of partitions is not the one of the manifest"
	NothingThere       = "there is nothing of Belfry here, and --existing-data is set"
	OtherPrefix        = "the store in the data folder has another --asset-prefix"
	NewStore           = "made a new store"
	Recreating         = "a missing stream is made anew, as --recreate-missing says"
	Damaged            = "stored data is damaged"
	TornWrite          = "an unfinished write is cut off"
	PutBack            = "files that a start left removed are put back"
	Unguarded          = "the streams have no second links while the server recovers them"
	FewCopies          = "streams have fewer copies than wanted"
	FolderLost         = "the data folder is not the one that was opened"
)

// Fault is one row of the table.
type Fault struct {
	Words string // one of the constants
	Where string // where they show
	Does  string // what Belfry does by itself
	Do    string // what the operator does
}

// Table lists all faults in the order of the document.
func Table() []Fault {
	const refused = "exit code 78"
	return []Fault{
		{StreamMissing, refused, "refuses to start and changes nothing; the error names the stream", "bring the stream back: the data folder or the server's storage from where it went, or a backup into a new store. `--recreate-missing` once starts with an empty stream in its place"},
		{StreamUnreadable, refused, "refuses to start before the embedded server touches anything; the error names the file and the reason", "put owner and rights of the file right, or the disk; then start again"},
		{StreamUnrecovered, refused, "refuses to start with the server's own reason, and puts back what the server has removed of the files", "remove the reason and start again. `--recreate-missing` once moves the files to `set-aside` in the data folder and starts with an empty stream"},
		{ConsumerUnreadable, "WARN", "moves them to `set-aside` in the data folder and makes the consumer of a route anew, from what was acked last as far as that is known", "put owner and rights right, so that it does not happen again; a subscriber may get fires twice"},
		{ManifestKeyGone, refused, "refuses to start and changes nothing", "bring the bucket back. `--recreate-missing` once makes it anew; the number of partitions is told from the buckets `jobs_<p>`"},
		{ManifestBad, refused, "refuses to start and changes nothing", "look for a bad disk. Remove `manifest.json`, or the key `manifest` of the bucket `belfry`: the next start compares what is there and writes it anew"},
		{PartitionsDiffer, refused, "refuses to start and changes nothing, since by another number jobs would be looked for in the wrong bucket", "count the buckets `jobs_<p>`. Put that number back under the key `partitions` of the bucket `belfry`; if the key has it, remove the manifest"},
		{NothingThere, refused, "refuses to make a new store", "mount the right volume, or name the right server. A first start goes without `--existing-data`"},
		{OtherPrefix, refused, "refuses to start before the embedded server touches anything; the error names both", "start with the prefix that the store has. A second store takes a `--data` folder of its own, or the NATS server of the first one by `--nats-url`"},
		{NewStore, "WARN", "starts with an empty store, which it has made; the line names the other stores on the server, by their prefixes", "nothing at a first start. At any other `--data` is not the folder that it was, its volume is not mounted, or `--asset-prefix` has changed: stop Belfry before jobs come in"},
		{Recreating, "WARN", "goes on with an empty stream", "take `--recreate-missing` away again"},
		{Damaged, "ERROR, `belfry_store_damage`, `warnings` in `/readyz`", "goes on with what is whole, says so at each start, and keeps a copy of a damaged block in `damaged` in the data folder", "find out what is lost, restore a backup into a new store if it matters, and look at the disk. Then start once with `--accept-damage` and the number in the message"},
		{TornWrite, "WARN", "drops a write that a crash or a power loss cut short and that nobody has an answer for", "nothing"},
		{PutBack, "WARN", "gives the streams the files back that the server removed in a start that failed", "nothing"},
		{Unguarded, "WARN", "starts, but a stream that the server cannot recover loses its files", "keep the data on a file system with hard links, or copy the folder before each start"},
		{FewCopies, "WARN, `warnings` in `/readyz`", "goes on, tries each minute to give them more, and says so at each start", "bring the other servers of the cluster up, or look for the reason in the line: too little storage, for one. `--replicas 1` says that one copy is wanted"},
		{FolderLost, "ERROR, `/readyz` 503, " + refused, "ends within seconds, for nothing that it stores is kept, and writes nothing more to that path", "find out who removed, moved or replaced the folder, or started a second process on it. Jobs that were stored since are lost"},
	}
}

// Markdown returns the table as docs/operations.md has it.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| you see | where | Belfry | you |\n|---|---|---|---|\n")
	for _, f := range Table() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.Words, f.Where, f.Does, f.Do)
	}
	return b.String()
}
