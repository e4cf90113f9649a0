package timer

import (
	"fmt"
	"strings"
	"sync"

	"belfry/internal/job"
)

// Idle is the reason why this node does not fire a partition that it is to fire. [Idles]
// has the words for each.
type Idle int

const (
	NotOrdered Idle = iota
	WaitsForRoutes
	WaitsForBreakers
	TakesFence
	InDoubt
	NoFence
	ReadsBucket
	HandsOver
	Replaced
	LeaseUnseen
	LeaseOfAnother
	LeaseUnwritten
)

// IdleRow is what /readyz says about one [Idle]; facts follow the words.
type IdleRow struct {
	Idle  Idle
	Words string
	Do    string // what an operator can do
}

// Idles lists every [Idle], in their order.
func Idles() []IdleRow {
	const bySelf = "nothing; it takes seconds"
	return []IdleRow{
		{NotOrdered, "it is about to take its partition", bySelf},
		{WaitsForRoutes, "it waits for the bucket routes to be read", "look in the log for why, if it stays: a watch of the bucket broke"},
		{WaitsForBreakers, "it waits for the tripped breakers to be read from the bucket gates", "look in the log for why, if it stays: a watch of the bucket broke"},
		{TakesFence, "it waits for the answer to its fence in FIRES", bySelf},
		{InDoubt, "it is in doubt about its last fires and looks them up", bySelf},
		{NoFence, "its fence or its mark cannot be written", "see that FIRES and the bucket of its jobs take writes; it is tried every two seconds"},
		{ReadsBucket, "it reads the bucket of its jobs", "wait; the numbers rise"},
		{HandsOver, "it hands its partition over to another node", bySelf},
		{Replaced, "another process has taken its partition, and this node gives it up", "nothing, if other nodes are meant to run; else stop the other process"},
		{LeaseUnseen, "no lease has been tried for yet", bySelf},
		{LeaseOfAnother, "another node has its lease and does not say that it is alive", "nothing; the lease is free three seconds after its last write"},
		{LeaseUnwritten, "its lease cannot be written", "see that the bucket belfry takes writes; it is tried every second"},
	}
}

// IdleMarkdown is [Idles] as a table.
func IdleMarkdown() string {
	var b strings.Builder
	b.WriteString("| the timer is not at work, since | you |\n|---|---|\n")
	for _, row := range Idles() {
		fmt.Fprintf(&b, "| %s | %s |\n", row.Words, row.Do)
	}
	return b.String()
}

// Say returns the words of an idle with its facts, if there are any, and the advice.
func (i Idle) Say(facts string) string {
	row := Idles()[i]
	if facts != "" {
		facts = ": " + facts
	}
	return row.Words + facts + " (to do: " + row.Do + ")"
}

// SayWhy is [Idle.Say] with an error as the facts.
func (i Idle) SayWhy(err error) string { return i.Say(plainWords(err)) }

// plainWords returns the words of an error without [job.ErrUnavailable], which /readyz
// has said already.
func plainWords(err error) string {
	return strings.TrimPrefix(err.Error(), job.ErrUnavailable.Error()+": ")
}

// idleness records how far the loop of a timer that does not fire has got. It is safe for
// concurrent use.
type idleness struct {
	mu   sync.Mutex // guards what follows
	is   Idle
	why  string // the reason of a doubt, or of a missing fence
	seen uint64 // the tail's position in the bucket, on the way to mark
	mark uint64
}

func (i *idleness) set(is Idle, why string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.is, i.why = is, why
}

// noFence records why there is no fence yet, unless there is one meanwhile.
func (i *idleness) noFence(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.is == TakesFence || i.is == InDoubt || i.is == NoFence {
		i.is, i.why = NoFence, plainWords(err)
	}
}

// reads records how far the tail has read the bucket.
func (i *idleness) reads(seen, mark uint64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.is, i.why, i.seen, i.mark = ReadsBucket, "", seen, mark
}

func (i *idleness) String() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.is == ReadsBucket {
		return i.is.Say(fmt.Sprintf("at message %d of %d", i.seen, i.mark))
	}
	return i.is.Say(i.why)
}
