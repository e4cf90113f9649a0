package job_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"belfry/internal/job"
)

func letter() job.Letter {
	return job.Letter{
		Fire:   job.Fire{Arming: job.Arming{Job: job.Job{Key: job.Key{DB: "d", Collection: "c", ID: "i"}, Route: "r", Trigger: 5, Meta: []byte("1")}, FireID: "fire-1", Attempt: 12}, Claim: 7},
		Number: 3, Died: now, Reason: job.ReasonExhausted,
	}
}

// The outcome for a letter's job depends on what is stored under its key.
func TestRedrive(t *testing.T) {
	again := job.RedriveID("fire-1")
	for _, tt := range []struct {
		name   string
		status job.Status // empty: nothing is stored
		fireID string
		want   job.Skip
	}{
		{"gone", "", "", ""},
		{"dead", job.Dead, "fire-1", ""},
		{"published, and not taken", job.Published, "fire-1", ""},
		{"letter first", job.Firing, "fire-1", job.SkipAlive},
		{"letter first, then retried", job.Retrying, "fire-1", job.SkipAlive},
		{"letter first, then delivered", job.Delivered, "fire-1", job.SkipAlive},
		{"armed again", job.Scheduled, "fire-2", job.SkipArmed},
		{"armed again and dead again", job.Dead, "fire-2", job.SkipArmed},
		{"redriven", job.Scheduled, again, job.SkipDone},
		{"redriven and dead again", job.Dead, again, job.SkipDone},
	} {
		r := record(tt.status)
		r.FireID = tt.fireID
		n, skip := letter().Redrive(r, tt.status != "", now)
		if skip != tt.want {
			t.Errorf("%s: skipped for %q, want %q", tt.name, skip, tt.want)
		}
		if skip != "" {
			continue
		}
		if n.Status != job.Scheduled || n.Due != now.UnixMilli() || n.Redriven != n.Due || n.Trigger != 5 || n.Attempt != 0 || n.FireID != again || n.Route != "r" || string(n.Meta) != "1" {
			t.Errorf("%s: redriven as %+v; want the same job with a new start, due now", tt.name, n)
		}
		if want := r.Position(); tt.status != "" && n.Replaces != want {
			t.Errorf("%s: replaces %v, want %v", tt.name, n.Replaces, want)
		}
	}
	if again == "fire-1" || again != job.RedriveID("fire-1") || again == job.RedriveID("fire-2") || job.RedriveID(again) == again {
		t.Errorf("RedriveID(fire-1) = %q; want another id, always the same", again)
	}
}

func TestLetterQuery(t *testing.T) {
	died := now.UnixMilli()
	for _, tt := range []struct {
		q    job.LetterQuery
		want bool
	}{
		{job.LetterQuery{DB: "d"}, true},
		{job.LetterQuery{DB: "e"}, false},
		{job.LetterQuery{DB: "d", Route: "r", Reason: job.ReasonExhausted}, true},
		{job.LetterQuery{DB: "d", Route: "s"}, false},
		{job.LetterQuery{DB: "d", Reason: job.ReasonGone}, false},
		{job.LetterQuery{DB: "d", After: died, Before: died + 1}, true},
		{job.LetterQuery{DB: "d", After: died + 1}, false},
		{job.LetterQuery{DB: "d", Before: died}, false},
	} {
		if got := tt.q.Matches(letter()); got != tt.want {
			t.Errorf("%+v matches: %v, want %v", tt.q, got, tt.want)
		}
		if err := tt.q.Check(); err != nil {
			t.Errorf("%+v: %v, want it accepted", tt.q, err)
		}
	}
	for _, tt := range []struct {
		q    job.LetterQuery
		want error
		says string
	}{
		{job.LetterQuery{}, job.ErrID, "db is empty"},
		{job.LetterQuery{DB: "d", Route: strings.Repeat("x", 201)}, job.ErrID, "route has 201 bytes"},
		{job.LetterQuery{DB: "d", Reason: "bored"}, job.ErrFilter, `reason is "bored"; accepted are [try_failed`},
		{job.LetterQuery{DB: "d", After: -1}, job.ErrFilter, "after: -1 is negative"},
		{job.LetterQuery{DB: "d", Before: job.MaxTrigger + 1}, job.ErrFilter, "before: 253402300800000 is after the year 9999"},
		{job.LetterQuery{DB: "d", After: 1667659342}, job.ErrFilter, "after: 1667659342 looks like seconds"},
		{job.LetterQuery{DB: "d", Limit: 1001}, job.ErrFilter, "limit is 1001; 1 to 1000"},
	} {
		if err := tt.q.Check(); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%+v: %v, want %v with %q", tt.q, err, tt.want, tt.says)
		}
	}
	if (job.LetterQuery{DB: "d", Limit: 5, Cursor: job.LetterCursor{Next: 1, Last: 2}}).Filtered() {
		t.Error("a limit and a cursor count as a filter")
	}
	if !(job.LetterQuery{Before: time.Now().UnixMilli()}).Filtered() {
		t.Error("a time does not count as a filter")
	}
}
