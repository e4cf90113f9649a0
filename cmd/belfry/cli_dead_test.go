package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"belfry/internal/command"
	"belfry/internal/waittest"
)

func TestDeadCommands(t *testing.T) {
	t.Parallel()
	s, srv := shellAt(t)
	s.must(t, "route", "add", "games", "down", "--url", "http://127.0.0.1:1/", "--schedule", "1ms")
	die := func(id string) {
		t.Helper()
		s.must(t, "job", "add", "games", "m", id, "--in", "0s", "--route", "down", "--data", `{"n":1}`)
	}
	letters := func(want int) {
		t.Helper()
		waittest.Eventually(t, func() string {
			if got := s.must(t, "dead", "ls", "games", "--json"); strings.Count(got, "\n") != want {
				return fmt.Sprintf("the dead letters are %s, want %d", got, want)
			}
			return ""
		})
	}
	_, stderr, err := s.run(t, "", "dead", "ls", "games")
	if err != nil || stderr != "no dead letters\n" {
		t.Errorf("an empty list: %q, %v", stderr, err)
	}
	die("a")
	letters(1)
	s.prints(t, `SEQUENCE  DIED...COLLECTION  ID  ROUTE  TRIES  REASON              DETAIL
1         20... ago  m           a   down   2      attempts_exhausted  connection refused
`, "dead", "ls", "games", "--route", "down", "--reason", "attempts_exhausted", "--after", "-1h", "--before", "+1m")
	s.prints(t, `Sequence     1
DB           games
Collection   m
ID           a
Route        down
Died         20...  (...ms ago)
Reason       attempts_exhausted
Detail       connection refused
Tries begun  2
Due          20... ago)
Data         {"n":1}
`, "dead", "show", "games", "1")
	waittest.Eventually(t, func() string {
		got := s.must(t, "job", "attempts", "games", "m", "a")
		if !matches(got, "TRY  STARTED ...LATE ...TOOK ...STATUS  ERROR               RESPONSE\n1    20...ms ...connection refused\n2    20...ms ...connection refused\n") {
			return "the attempts are\n" + got
		}
		return ""
	})

	// Redriven it dies again, under the next number.
	s.prints(t, "redriven letter 1\n", "dead", "redrive", "games", "1")
	s.fails(t, 3, "(E121)", "dead", "show", "games", "1")
	letters(1)
	die("b")
	letters(2)
	s.prints(t, "would redrive 2 letters of games\n", "dead", "redrive", "games", "--all", "--dry-run")
	s.prints(t, `{"would_discard":2}`+"\n", "dead", "discard", "games", "--route", "down", "--dry-run", "--json")
	s.prints(t, "redriven 2 letters of games\n", "dead", "redrive", "games", "--all")
	letters(2)

	// One whose job was armed again is skipped.
	s.must(t, "job", "add", "games", "m", "a", "--in", "1h", "--route", "down")
	out, stderr, err := s.run(t, "", "dead", "redrive", "games", "--route", "down")
	if err != nil || out != "redriven 1 letter of games, and skipped 1\n" || !matches(stderr, `skipped letter ... ("a" of m): armed_again`+"\n") {
		t.Errorf("belfry dead redrive: %q, %q, %v", out, stderr, err)
	}
	letters(2)
	sequence := strings.Fields(strings.Split(s.must(t, "dead", "ls", "games"), "\n")[1])[0]
	s.fails(t, 5, "letter "+sequence+" was not redriven: armed_again", "dead", "redrive", "games", sequence)
	s.prints(t, "discarded letter "+sequence+"\n", "dead", "discard", "games", sequence)

	s.fails(t, 2, "--force does it without asking", "dead", "discard", "games", "--all")
	s.fails(t, 2, "SEQUENCE is missing, or a filter, or --all", "dead", "discard", "games")
	s.fails(t, 2, "(E021)", "dead", "ls", "games", "--reason", "boredom")
	s.fails(t, 3, "(E121)", "dead", "discard", "games", "none")
	s.env.Terminal = true
	if _, stderr, err := s.run(t, "n\n", "dead", "discard", "games", "--all"); command.ExitCode(err) != 1 || !strings.Contains(stderr, "discard 1 letter of games? [y/N]") {
		t.Errorf("belfry dead discard, and no: %q, %v", stderr, err)
	}
	if out, _, err := s.run(t, "yes\n", "dead", "discard", "games", "--all"); err != nil || out != "discarded 1 letter of games\n" {
		t.Errorf("belfry dead discard, and yes: %q, %v", out, err)
	}

	// Letters that nobody was asked about are not discarded.
	proxy := proxyTo(t, "http://"+srv.Addr(), http.MethodPost, func() { t.Error("letters are discarded though 0 were counted") })
	s.prints(t, "discarded 0 letters of games\n", "dead", "discard", "games", "--all", "--server", proxy)
	s.prints(t, `{"discarded":0,"skipped":0}`+"\n", "dead", "discard", "games", "--all", "--json", "--server", proxy)
	s.env.Terminal = false
	s.prints(t, "discarded 0 letters of games\n", "dead", "discard", "games", "--all", "--force")
}
