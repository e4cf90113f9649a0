package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The checker compares what was acknowledged with what arrived. It knows only Belfry's
// promises (docs/design.md), and nothing about how Belfry works:
//
//   - a job that was acknowledged and not cancelled arrives, as its last
//     acknowledged content says: none is lost;
//   - it never arrives before its trigger_time;
//   - what was acknowledged as cancelled or replaced does not arrive;
//   - a "too late" is true: the job arrives as it was;
//   - in FIRES each claim stands once, and each try once, except those that were
//     put back untried;
//   - a receiver sees one webhook-id for one job, however often it is posted;
//   - a webhook is signed, so that the library of Standard Webhooks accepts it;
//   - in the end every job is in a final state.
//
// FIRES may lack what an operator has purged.
//
// A request whose outcome stayed unknown may have been applied or not, but not both: one
// of the possible contents arrives.

// violation is a promise that was broken for one job.
type violation struct {
	job  string
	what string
}

func (v violation) String() string { return "job " + v.job + ": " + v.what }

// nothing is the content of a job that does not fire.
const nothing = -1

// possible returns the contents that the job may fire with, as its client knows it, and
// their due times. [nothing] among them means that the job may stay silent.
func (t told) possible() (contents map[int]bool, due map[int]time.Time) {
	contents, due = map[int]bool{nothing: true}, map[int]time.Time{}
	for _, a := range t.asked {
		content := a.content
		if a.op == opCancel {
			content = nothing
		} else {
			due[content] = a.due
		}
		switch a.outcome {
		case acked:
			contents = map[int]bool{content: true}
		case unknown:
			contents[content] = true
		}
	}
	return contents, due
}

// ever returns every content that the client asked for.
func (t told) ever() map[int]bool {
	all := map[int]bool{}
	for _, a := range t.asked {
		if a.op != opCancel {
			all[a.content] = true
		}
	}
	return all
}

// check returns every violation, in the order of the jobs.
func check(h history) []violation {
	arrivals := map[string][]arrival{}
	for _, a := range h.arrivals {
		arrivals[a.job] = append(arrivals[a.job], a)
	}
	fires := map[string][]fire{}
	for _, f := range h.fires {
		fires[f.job] = append(fires[f.job], f)
	}
	var all []violation
	for _, t := range h.jobs {
		rest := t.route == routeREST
		for _, what := range checkJob(t, arrivals[t.id], fires[t.id], h.putBack && rest, h.purged && rest) {
			all = append(all, violation{t.id, what})
		}
		delete(arrivals, t.id)
		delete(fires, t.id)
	}
	for _, id := range slices.Sorted(maps.Keys(arrivals)) {
		all = append(all, violation{id, "arrived, though nobody created it"})
	}
	for _, id := range slices.Sorted(maps.Keys(fires)) {
		all = append(all, violation{id, "is in FIRES, though nobody created it"})
	}
	return all
}

func checkJob(t told, arrivals []arrival, fires []fire, putBack, purged bool) []string {
	var found []string
	report := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }

	for _, a := range t.asked {
		if a.outcome == wrong {
			report("%s was answered %s", a.op, a.detail)
		}
	}
	contents, due := t.possible()
	// A job whose try was refused or put back waits again, and may be changed.
	once := contents // the contents that may have been tried before
	if putBack {
		once = t.ever()
	}
	accepted := slices.DeleteFunc(slices.Clone(arrivals), func(a arrival) bool { return a.refused })
	if len(accepted) == 0 && !contents[nothing] {
		report("lost: acknowledged, and never arrived; its status is %s; it was %s", t.final, t.story())
	}
	ids, seqs, came := map[string]bool{}, map[uint64]bool{}, map[int]bool{}
	refusals := map[string]int{}
	for _, a := range arrivals {
		possible := contents
		if a.refused {
			refusals[a.fireID]++
			possible = once
		}
		if !a.refused || !putBack {
			ids[a.fireID], came[a.content] = true, true
		}
		if a.seq != 0 {
			seqs[a.seq] = true
		}
		if a.forged {
			report("arrived with a signature that is not its route's: %s", describe([]arrival{a}))
		}
		if !possible[a.content] {
			report("arrived with content %d, which was cancelled or replaced; it was %s", a.content, t.story())
		}
		if d, ok := due[a.content]; ok && a.at.Before(d) {
			report("early: content %d arrived %v before its time", a.content, d.Sub(a.at))
		} else if ok && a.trigger != d.UnixMilli() {
			report("content %d arrived with trigger time %d, want %d", a.content, a.trigger, d.UnixMilli())
		}
	}
	if len(ids) > 1 || len(seqs) > 1 || len(came) > 1 {
		report("doubled: arrived %s", describe(arrivals))
	}
	found = append(found, t.checkFires(fires, once, refusals, putBack)...)
	if len(arrivals) > 0 && len(fires) == 0 && !purged {
		report("arrived without a message in FIRES")
	}
	return append(found, checkFinal(t, contents, len(accepted) > 0)...)
}

// checkFires checks the messages of one job in FIRES. contents are those that may be
// there, and refusals counts them by fire id.
func (t told) checkFires(fires []fire, contents map[int]bool, refusals map[string]int, putBack bool) []string {
	var found []string
	report := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }

	claims := map[string]int{}
	tries := map[string]map[string]int{} // by fire id, and by attempt
	for _, f := range fires {
		claims[f.claim]++
		if tries[f.fireID] == nil {
			tries[f.fireID] = map[string]int{}
		}
		tries[f.fireID][f.attempt]++
		if !contents[f.content] {
			report("in FIRES (%d) with content %d, which was cancelled or replaced; it was %s", f.seq, f.content, t.story())
		}
	}
	for _, claim := range slices.Sorted(maps.Keys(claims)) {
		if claims[claim] > 1 {
			report("claim %s is in FIRES %d times", claim, claims[claim])
		}
	}
	all, refused := 0, 0
	for _, id := range slices.Sorted(maps.Keys(tries)) {
		for _, attempt := range slices.Sorted(maps.Keys(tries[id])) {
			if n := tries[id][attempt]; n > 1 && !putBack {
				report("fire %s attempt %s is in FIRES %d times", id, attempt, n)
			}
		}
		if most := 1 + refusals[id]; putBack && len(tries[id]) > most {
			report("%d tries are in FIRES, want at most %d", len(tries[id]), most)
		}
		all, refused = all+len(tries[id]), refused+refusals[id]
	}
	// Without a change after a try there is one fire id.
	if most := 1 + refused; !putBack && all > most {
		report("%d tries are in FIRES, want at most %d", all, most)
	}
	return found
}

// checkFinal compares the status at the end with what the client knows.
func checkFinal(t told, contents map[int]bool, arrived bool) []string {
	done := map[string]string{routeREST: "delivered", routeNATS: "published"}[t.route]
	switch {
	case arrived && t.final != done:
		return []string{fmt.Sprintf("its status is %s after it arrived, want %s", t.final, done)}
	case !arrived && contents[nothing] && t.final != "cancelled" && t.final != notFound:
		return []string{fmt.Sprintf("its status is %s, and it has not arrived; it was %s", t.final, t.story())}
	}
	return nil
}

// notFound stands for the status of a job that does not exist.
const notFound = "not found"

// story tells the steps in a line.
func (t told) story() string {
	var steps []string
	for _, a := range t.asked {
		s := fmt.Sprintf("%s at %s, sent %d times: %s", a.op, a.sent.Format(clock), a.sends, a.outcome)
		if a.op != opCancel {
			s += fmt.Sprintf(" (content %d, due %s)", a.content, a.due.Format(clock))
		}
		if a.outcome != acked {
			s += fmt.Sprintf(" (last answer %s at %s)", a.detail, a.ended.Format(clock))
		}
		steps = append(steps, s)
	}
	return strings.Join(steps, "; ")
}

func describe(arrivals []arrival) string {
	var all []string
	for _, a := range arrivals {
		all = append(all, fmt.Sprintf("at %s as %s (content %d, attempt %s, message %d)",
			a.at.Format(clock), a.fireID, a.content, a.attempt, a.seq))
	}
	return strings.Join(all, ", ")
}

// clock is the format of printed times, as the logs have it.
const clock = "15:04:05.000"
