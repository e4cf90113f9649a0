package streams

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"belfry/internal/job"
	"belfry/streams/wire"
)

// Idle is why a partition that this node is to fire is not fired by it. [Idles] has
// the words of each.
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

// IdleRow is what /readyz says of one [Idle]; facts follow the words.
type IdleRow struct {
	Idle  Idle
	Words string
	Do    string // what is left for people
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

// say returns the words of an idle with its facts and what to do.
func (i Idle) say(facts string) string {
	row := Idles()[i]
	if facts != "" {
		facts = ": " + facts
	}
	return row.Words + facts + " (to do: " + row.Do + ")"
}

// plainWords are those of an error behind [job.ErrUnavailable], which /readyz has said.
func plainWords(err error) string {
	return strings.TrimPrefix(err.Error(), job.ErrUnavailable.Error()+": ")
}

// idleness is how far the loop of a timer got that does not fire. It is safe for
// concurrent use.
type idleness struct {
	mu   sync.Mutex // guards what follows
	is   Idle
	why  string // of a doubt, or why a fence is missing
	seen uint64 // of the bucket, on the way to mark
	mark uint64
}

func (i *idleness) set(is Idle, why string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.is, i.why = is, why
}

// noFence notes why there is no fence yet, unless there is one meanwhile.
func (i *idleness) noFence(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.is == TakesFence || i.is == InDoubt || i.is == NoFence {
		i.is, i.why = NoFence, plainWords(err)
	}
}

// reads notes how far the bucket is read.
func (i *idleness) reads(seen, mark uint64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.is, i.why, i.seen, i.mark = ReadsBucket, "", seen, mark
}

func (i *idleness) String() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.is == ReadsBucket {
		return i.is.say(fmt.Sprintf("at message %d of %d", i.seen, i.mark))
	}
	return i.is.say(i.why)
}

// ready reports whether this node fires what it is to. Otherwise it names the first
// partition that is not, and why.
func (l *leases) ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.held) == 0 && l.others() == 0 {
		return fmt.Errorf("%w: no partition is owned yet; partition 0: %s", job.ErrUnavailable, l.unleased(0))
	}
	first, more := -1, 0
	for p, t := range l.s.timers {
		switch {
		case !l.held[p] || t.owns():
		case first < 0:
			first = p
		default:
			more++
		}
	}
	switch {
	case first < 0:
		return nil
	case more > 0:
		return fmt.Errorf("%w: the timer of partition %d is not at work yet, nor are %d others: %v", job.ErrUnavailable, first, more, &l.s.timers[first].idle)
	}
	return fmt.Errorf("%w: the timer of partition %d is not at work yet: %v", job.ErrUnavailable, first, &l.s.timers[first].idle)
}

// unleased says why a partition is not ours while no other node is alive; l.mu is held.
func (l *leases) unleased(p int) string {
	key := wire.LeaseKey(p)
	s, seen := l.seen[key]
	switch ago := time.Since(s.at); {
	case l.s.timers[p].replaced.Load():
		return Replaced.say("")
	case seen && s.node != "" && s.node != l.node && ago < leaseExpiry:
		return LeaseOfAnother.say(fmt.Sprintf("last written %v ago", ago.Round(100*time.Millisecond)))
	case l.failed[p] != nil:
		return LeaseUnwritten.say(plainWords(l.failed[p]))
	}
	return LeaseUnseen.say("")
}

// tried takes in the answer to a write of a lease.
func (l *leases) tried(key string, err error) {
	p, is := wire.ParseLeaseKey(key, l.s.partitions)
	if !is {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed[p] = err
}
