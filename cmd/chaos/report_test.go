package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSummary(t *testing.T) {
	t.Parallel()
	inFault := created(routeNATS, acked)
	inFault.id, inFault.asked[0].due = "b", at(1100)
	late := created(routeREST, acked) // answered after its time
	late.id, late.asked[0].due, late.asked[0].ended = "c", at(10), at(50)
	of := func(id string, a arrival, ms int) arrival {
		a.job, a.fireID, a.at = id, id, at(ms)
		return a
	}
	h := history{
		jobs: []told{created(routeREST, acked, asked{op: opChange, outcome: acked}), inFault, late,
			created(routeREST, notDone), created(routeREST, acked, asked{op: opCancel, outcome: unknown})},
		arrivals: []arrival{
			of("a", came(1, 0), 205), of("a", came(1, 0), 900),
			of("b", came(0, 1), 1700),
			of("c", came(0, 0), 53),
		},
		fires: make([]fire, 4),
	}
	var got strings.Builder
	if err := summarize(h, []window{{killNode, at(1090), at(1110)}}, 50*time.Millisecond).write(&got); err != nil {
		t.Fatal(err)
	}
	clockAt := func(ms int) string { return at(ms).Format(clock) }
	want := `jobs      5
create    4 acknowledged                                 0 too late                                   0 unknown         1 not done
change    1 acknowledged                                 0 too late                                   0 unknown         0 not done
cancel    0 acknowledged                                 0 too late                                   1 unknown         0 not done
arrived   3 jobs                                         1 repeats                                    0 tries refused   4 in FIRES
latest with kill belfry  600ms (nats job b, due ` + clockAt(1100) + `)
latest with no fault     3ms (rest job c, due ` + clockAt(50) + `)
`
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	if diff := cmp.Diff(squeeze(want), squeeze(got.String())); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}
