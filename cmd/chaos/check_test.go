package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.UnixMilli(1_900_000_000_000)

// at returns the time that many milliseconds after noon.
func at(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }

// created is a job that is due at 100 ms, whose create had the outcome, with its further
// steps. Content n is due at 100(n+1) ms.
func created(route string, o outcome, more ...asked) told {
	t := told{id: "a", route: route, final: map[string]string{routeREST: "delivered", routeNATS: "published"}[route]}
	t.asked = append([]asked{{op: opCreate, outcome: o}}, more...)
	for i := range t.asked {
		t.asked[i].content, t.asked[i].due = i, at(100*(i+1))
	}
	return t
}

// came is the arrival of a content, a millisecond after its due time, as message seq of
// FIRES; 0 is over HTTP.
func came(content int, seq uint64) arrival {
	due := 100 * (content + 1)
	return arrival{job: "a", content: content, fireID: "f", attempt: "1", trigger: at(due).UnixMilli(), seq: seq, at: at(due + 1)}
}

func stored(content int, seq uint64) fire {
	return fire{seq: seq, job: "a", content: content, fireID: "f", attempt: "1", claim: "9"}
}

func with[T any](v T, change func(*T)) T { change(&v); return v }

func TestCheck(t *testing.T) {
	t.Parallel()
	change := func(o outcome) asked { return asked{op: opChange, outcome: o} }
	cancel := func(o outcome) asked { return asked{op: opCancel, outcome: o} }
	final := func(t told, status string) told { t.final = status; return t }
	for _, tt := range []struct {
		name     string
		job      told
		arrivals []arrival
		fires    []fire
		want     []string // how each violation begins
	}{
		{"on time over HTTP", created(routeREST, acked), []arrival{came(0, 0)}, []fire{stored(0, 1)}, nil},
		{"on time over NATS", created(routeNATS, acked), []arrival{came(0, 1)}, []fire{stored(0, 1)}, nil},
		{"lost", created(routeREST, acked), nil, nil, []string{"lost: "}},
		{"lost on its way to the receiver", created(routeREST, acked), nil, []fire{stored(0, 1)}, []string{"lost: "}},
		{"lost though too late to cancel", created(routeNATS, acked, cancel(tooLate)), nil, nil, []string{"lost: "}},
		{"lost after an unknown change", created(routeNATS, acked, change(unknown)), nil, nil, []string{"lost: "}},

		{"early", created(routeREST, acked), []arrival{with(came(0, 0), func(a *arrival) { a.at = at(99) })}, []fire{stored(0, 1)},
			[]string{"early: content 0 arrived 1ms before"}},
		{"in its very millisecond", created(routeREST, acked), []arrival{with(came(0, 0), func(a *arrival) { a.at = at(100) })}, []fire{stored(0, 1)}, nil},
		{"changed, and early for the new time", created(routeREST, acked, change(acked)),
			[]arrival{with(came(1, 0), func(a *arrival) { a.at = at(199) })}, []fire{stored(1, 1)}, []string{"early: content 1 arrived 1ms before"}},
		{"with the wrong trigger time", created(routeREST, acked), []arrival{with(came(0, 0), func(a *arrival) { a.trigger++ })}, []fire{stored(0, 1)},
			[]string{"content 0 arrived with trigger time"}},

		{"posted again with the same webhook-id", created(routeREST, acked), []arrival{came(0, 0), came(0, 0)}, []fire{stored(0, 1)}, nil},
		{"posted again with another", created(routeREST, acked),
			[]arrival{came(0, 0), with(came(0, 0), func(a *arrival) { a.fireID = "g" })}, []fire{stored(0, 1)}, []string{"doubled: "}},
		{"the same message again", created(routeNATS, acked), []arrival{came(0, 1), came(0, 1)}, []fire{stored(0, 1)}, nil},
		{"two messages", created(routeNATS, acked), []arrival{came(0, 1), came(0, 2)}, []fire{stored(0, 1), stored(0, 2)},
			[]string{"doubled: ", "claim 9 is in FIRES 2 times", "fire f attempt 1 is in FIRES 2 times"}},
		{"two claims of one try", created(routeREST, acked), []arrival{came(0, 0)},
			[]fire{stored(0, 1), with(stored(0, 2), func(f *fire) { f.claim = "10" })}, []string{"fire f attempt 1 is in FIRES 2 times"}},
		{"a retry after a refusal", created(routeREST, acked),
			[]arrival{with(came(0, 0), func(a *arrival) { a.refused = true }), with(came(0, 0), func(a *arrival) { a.attempt = "2" })},
			[]fire{stored(0, 1), with(stored(0, 2), func(f *fire) { f.claim, f.attempt = "10", "2" })}, nil},
		{"a retry without one", created(routeREST, acked),
			[]arrival{came(0, 0), with(came(0, 0), func(a *arrival) { a.attempt = "2" })},
			[]fire{stored(0, 1), with(stored(0, 2), func(f *fire) { f.claim, f.attempt = "10", "2" })}, []string{"2 tries are in FIRES, want at most 1"}},

		{"cancelled", final(created(routeREST, acked, cancel(acked)), "cancelled"), nil, nil, nil},
		{"cancelled, but arrived", created(routeREST, acked, cancel(acked)), []arrival{came(0, 0)}, []fire{stored(0, 1)},
			[]string{"arrived with content 0, which was cancelled", "in FIRES (1) with content 0, which was cancelled"}},
		{"cancelled, but in FIRES", final(created(routeREST, acked, cancel(acked)), "cancelled"), nil, []fire{stored(0, 1)},
			[]string{"in FIRES (1) with content 0, which was cancelled"}},
		{"too late to cancel", created(routeREST, acked, cancel(tooLate)), []arrival{came(0, 0)}, []fire{stored(0, 1)}, nil},
		{"perhaps cancelled, and arrived", created(routeREST, acked, cancel(unknown)), []arrival{came(0, 0)}, []fire{stored(0, 1)}, nil},
		{"perhaps cancelled, and silent", final(created(routeREST, acked, cancel(unknown)), "cancelled"), nil, nil, nil},
		{"perhaps cancelled, and stuck", final(created(routeREST, acked, cancel(unknown)), "scheduled"), nil, nil, []string{"its status is scheduled, and it has not arrived"}},

		{"changed", created(routeNATS, acked, change(acked)), []arrival{came(1, 1)}, []fire{stored(1, 1)}, nil},
		{"changed, but the old one arrived", created(routeNATS, acked, change(acked)), []arrival{came(0, 1)}, []fire{stored(0, 1)},
			[]string{"arrived with content 0, which was cancelled or replaced", "in FIRES (1) with content 0"}},
		{"not changed, but the new one arrived", created(routeNATS, acked, change(tooLate)), []arrival{came(1, 1)}, []fire{stored(1, 1)},
			[]string{"arrived with content 1", "in FIRES (1) with content 1"}},
		{"perhaps changed, the old one", created(routeNATS, acked, change(unknown)), []arrival{came(0, 1)}, []fire{stored(0, 1)}, nil},
		{"perhaps changed, the new one", created(routeNATS, acked, change(unknown)), []arrival{came(1, 1)}, []fire{stored(1, 1)}, nil},
		{"perhaps changed, both", created(routeNATS, acked, change(unknown)), []arrival{came(0, 1), came(1, 2)},
			[]fire{stored(0, 1), with(stored(1, 2), func(f *fire) { f.claim, f.fireID = "10", "g" })},
			[]string{"doubled: ", "2 tries are in FIRES"}},

		{"perhaps created, and arrived", created(routeREST, unknown), []arrival{came(0, 0)}, []fire{stored(0, 1)}, nil},
		{"perhaps created, and not", final(created(routeREST, unknown), notFound), nil, nil, nil},
		{"not created", final(created(routeREST, notDone), notFound), nil, nil, nil},
		{"not created, but arrived", created(routeREST, notDone), []arrival{came(0, 0)}, []fire{stored(0, 1)},
			[]string{"arrived with content 0", "in FIRES (1) with content 0"}},

		{"arrived, but never finished", final(created(routeREST, acked), "firing"), []arrival{came(0, 0)}, []fire{stored(0, 1)},
			[]string{"its status is firing after it arrived"}},
		{"arrived from nowhere", created(routeREST, acked), []arrival{came(0, 0)}, nil, []string{"arrived without a message in FIRES"}},
		{"with another signature", created(routeREST, acked), []arrival{with(came(0, 0), func(a *arrival) { a.forged = true })}, []fire{stored(0, 1)},
			[]string{"arrived with a signature that is not its route's: at "}},
		{"garbled", created(routeREST, acked), []arrival{with(came(0, 0), func(a *arrival) { a.content = garbled })}, []fire{stored(0, 1)},
			[]string{"arrived with content -2"}},
		{"not found though acknowledged", final(created(routeREST, acked, asked{op: opCancel, outcome: wrong, detail: "400 E101"}), notFound), nil, nil,
			[]string{"cancel was answered 400 E101", "lost: "}},
		{"another job", created(routeREST, acked),
			[]arrival{came(0, 0), with(came(0, 0), func(a *arrival) { a.job = "b" })}, []fire{stored(0, 1), with(stored(0, 2), func(f *fire) { f.job = "b" })},
			[]string{"arrived, though nobody created it", "is in FIRES, though nobody created it"}},
	} {
		var got []string
		for _, v := range check(history{jobs: []told{tt.job}, arrivals: tt.arrivals, fires: tt.fires}) {
			got = append(got, v.what)
		}
		if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
			t.Errorf("%s: the checker says\n\t%s\nwant what begins with\n\t%s", tt.name, strings.Join(got, "\n\t"), strings.Join(tt.want, "\n\t"))
		}
	}
}

// The answers to a request tell its client the outcome.
func TestOutcome(t *testing.T) {
	t.Parallel()
	late := `{"error":"too late","code":"E103"}`
	for _, tt := range []struct {
		answer answer
		want   outcome
	}{
		{answer{status: 200}, acked},
		{answer{status: 200, doubt: true}, acked},
		{answer{status: 400, body: late}, tooLate},
		{answer{status: 400, body: late, doubt: true}, unknown},
		{answer{status: 400, body: `{"code":"E101"}`}, wrong},
		{answer{status: 400, body: `{"code":"E101"}`, doubt: true}, wrong},
		{answer{status: 500}, wrong},
		{answer{}, notDone},
		{answer{doubt: true}, unknown},
		{answer{status: 503, body: `{"code":"E302"}`}, notDone},
		{answer{status: 503, body: `{"code":"E303"}`, doubt: true}, unknown},
	} {
		if got := tt.answer.outcome(); got != tt.want {
			t.Errorf("%+v: outcome %q, want %q", tt.answer, got, tt.want)
		}
	}
}

// A job whose try was refused, or put back untried, waits again: it may be changed then,
// but must not arrive as it was.
func TestCheckPutBack(t *testing.T) {
	t.Parallel()
	changed := created(routeREST, acked, asked{op: opChange, outcome: acked})
	refused := with(came(0, 0), func(a *arrival) { a.refused = true })
	anew := with(came(1, 0), func(a *arrival) { a.fireID = "g" })
	anewStored := with(stored(1, 2), func(f *fire) { f.fireID, f.claim = "g", "12" })
	for _, tt := range []struct {
		name     string
		job      told
		arrivals []arrival
		fires    []fire
		want     []string
	}{
		{"refused, then changed", changed, []arrival{refused, anew}, []fire{stored(0, 1), anewStored}, nil},
		{"put back, then changed", changed, []arrival{anew}, []fire{stored(0, 1), anewStored}, nil},
		{"put back", created(routeREST, acked), []arrival{came(0, 0)},
			[]fire{stored(0, 1), with(stored(0, 2), func(f *fire) { f.claim = "12" })}, nil},
		{"one claim twice", created(routeREST, acked), []arrival{came(0, 0)}, []fire{stored(0, 1), stored(0, 2)}, []string{"claim 9 is in FIRES 2 times"}},
		{"changed, and arrived as it was", changed, []arrival{came(0, 0), anew}, []fire{stored(0, 1), anewStored},
			[]string{"arrived with content 0", "doubled: "}},
		{"refused and never again", created(routeREST, acked), []arrival{refused}, []fire{stored(0, 1)}, []string{"lost: "}},
		{"a second try without a refusal", created(routeREST, acked), []arrival{came(0, 0)},
			[]fire{stored(0, 1), with(stored(0, 2), func(f *fire) { f.claim, f.attempt = "12", "2" })}, []string{"2 tries are in FIRES, want at most 1"}},
		{"a NATS route puts nothing back", created(routeNATS, acked), []arrival{came(0, 1)},
			[]fire{stored(0, 1), with(stored(0, 2), func(f *fire) { f.claim = "12" })}, []string{"fire f attempt 1 is in FIRES 2 times"}},
	} {
		var got []string
		for _, v := range check(history{jobs: []told{tt.job}, arrivals: tt.arrivals, fires: tt.fires, putBack: true}) {
			got = append(got, v.what)
		}
		if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
			t.Errorf("%s: the checker says\n\t%s\nwant what begins with\n\t%s", tt.name, strings.Join(got, "\n\t"), strings.Join(tt.want, "\n\t"))
		}
	}
}
