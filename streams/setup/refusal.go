package setup

import (
	"fmt"
	"strings"
)

// Refusal says why a store is not opened: something that Belfry created is not as Belfry
// left it. Nothing was changed, and starting again does not help before somebody has
// looked at it.
type Refusal struct {
	Fault   string   // of the package fault
	Streams []string // the streams concerned, if any
	Reason  string   // in the words of the server or the system, if any
	Do      string   // what the operator can do
}

func (r *Refusal) Error() string {
	var b strings.Builder
	switch len(r.Streams) {
	case 0:
	case 1:
		fmt.Fprintf(&b, "stream %s: ", r.Streams[0])
	default:
		fmt.Fprintf(&b, "streams %s: ", strings.Join(r.Streams, ", "))
	}
	b.WriteString(r.Fault)
	if r.Reason != "" {
		fmt.Fprintf(&b, ": %s", r.Reason)
	}
	fmt.Fprintf(&b, "; nothing was changed: %s", r.Do)
	return b.String()
}
