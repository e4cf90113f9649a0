package job_test

import (
	"errors"
	"testing"
	"time"

	"belfry/internal/job"
)

var now = time.UnixMilli(1_900_000_000_000)

func record(s job.Status) job.Record {
	r := job.New(job.Job{Key: job.Key{DB: "d", Collection: "c", ID: "i"}, Trigger: 1_800_000_000_000, Meta: []byte("1"), Route: "r"}, "fire-1")
	r.Status, r.Revision = s, 7
	if s.Final() {
		r.Due = 0
	}
	return r
}

// Each status allows certain steps, and each step leads to a certain status.
func TestLife(t *testing.T) {
	for _, tt := range []struct {
		from           job.Status
		cancel, change error
		rearm          error
		attempt        int // after a claim; it was 2 before
	}{
		{job.Scheduled, nil, nil, nil, 3},
		{job.Retrying, nil, nil, nil, 3},
		{job.Firing, job.ErrFiring, job.ErrFiring, job.ErrFiring, 2},
		{job.Delivered, job.ErrFinished, job.ErrFinished, nil, 0},
		{job.Published, job.ErrFinished, job.ErrFinished, nil, 0},
		{job.Dead, job.ErrFinished, job.ErrFinished, nil, 0},
		{job.Expired, job.ErrFinished, job.ErrFinished, nil, 0},
		{job.Cancelled, job.ErrFinished, job.ErrFinished, nil, 0},
	} {
		r := record(tt.from)
		r.Attempt = 2
		is := func(what string, n job.Record, got, want error, status job.Status) {
			t.Helper()
			if !errors.Is(got, want) {
				t.Errorf("%s of a %s job: %v, want %v", what, tt.from, got, want)
			}
			if got != nil {
				return
			}
			if n.Status != status || n.Replaces != r.Position() || !tt.from.CanBecome(status) {
				t.Errorf("%s of a %s job makes %s replacing %v; want %s replacing %v, and the arrow", what, tt.from, n.Status, n.Replaces, status, r.Position())
			}
		}
		n, err := r.Cancel(now)
		is("cancel", n, err, tt.cancel, job.Cancelled)
		n, err = r.Change(r.Job, "fire-2")
		is("change", n, err, tt.change, job.Scheduled)
		n, err = r.Hasten(now)
		is("hasten", n, err, tt.change, tt.from)
		if err == nil && (n.Due != now.UnixMilli() || n.FireID != r.FireID || n.Attempt != 2 || n.Trigger != r.Trigger) {
			t.Errorf("hastened %s job: due %d, fire id %q, attempt %d, trigger %d; want only the due time changed", tt.from, n.Due, n.FireID, n.Attempt, n.Trigger)
		}
		n, err = r.Rearm(r.Job, "fire-2")
		is("rearm", n, err, tt.rearm, job.Scheduled)
		if err == nil && (n.FireID != "fire-2" || n.Attempt != 0) {
			t.Errorf("rearmed %s job has fire id %q and attempt %d, want a new start", tt.from, n.FireID, n.Attempt)
		}
		if tt.from.Live() {
			r.Replaces = job.Position{Due: 99, Seq: 6}
			n := r.Claim(now, 5, 6, time.Hour, "unused")
			due := r.Due
			if tt.from == job.Firing {
				due = 99
			}
			if want := (job.Position{Due: due, Seq: 7}); n.Status != job.Firing || n.Replaces != want || !tt.from.CanBecome(job.Firing) {
				t.Errorf("claim of a %s job makes %s replacing %v; want it firing and replacing %v", tt.from, n.Status, n.Replaces, want)
			}
			if n.Attempt != tt.attempt || n.FireID != "fire-1" || n.Due != now.Add(time.Hour).UnixMilli() {
				t.Errorf("claimed %s job: attempt %d, fire id %q, due %d", tt.from, n.Attempt, n.FireID, n.Due)
			}
		}
	}
}

func TestExpire(t *testing.T) {
	r := record(job.Scheduled)
	n := r.Expire(job.TooLate(1500*time.Millisecond, time.Second), now)
	if n.Status != job.Expired || n.Replaces != r.Position() || !r.Status.CanBecome(n.Status) || n.Finished != now.UnixMilli() || n.Due != 0 {
		t.Errorf("expired as %+v, want it final, over the scheduled one, and the arrow", n)
	}
	if n.Reason != job.ReasonTooLate || n.Detail != "1500 ms late, of 1000 at most" {
		t.Errorf("expired with %q, %q", n.Reason, n.Detail)
	}
}

func TestFinish(t *testing.T) {
	r := record(job.Firing)
	n := r.Finish(job.Result{Status: job.Retrying, RetryAt: 99, Reason: job.ReasonFailed, Detail: "status 500"}, now)
	if n.Status != job.Retrying || n.Due != 99 || n.Finished != 0 || n.Reason != job.ReasonFailed || n.Replaces != r.Position() {
		t.Errorf("a failed try makes %+v", n)
	}
	n = r.Finish(job.Result{Status: job.Delivered}, now)
	if n.Status != job.Delivered || n.Due != 0 || n.Finished != now.UnixMilli() || n.Reason != "" {
		t.Errorf("a success makes %+v", n)
	}
	for attempt, want := range map[int]job.Status{1: job.Scheduled, 2: job.Retrying} {
		r.Attempt = attempt
		n = r.Finish(job.Result{Status: job.Scheduled, RetryAt: 99, Reason: job.ReasonFailed, Detail: "status 500"}, now)
		if n.Reason != job.ReasonFailed || n.Detail != "status 500" {
			t.Errorf("try %d put back says %q, %q; want what it said before", attempt, n.Reason, n.Detail)
		}
		if n.Status != want || n.Due != 99 || n.Attempt != attempt-1 || n.FireID != r.FireID || n.Replaces != r.Position() {
			t.Errorf("try %d put back makes %+v, want it %s", attempt, n, want)
		}
	}
	for _, bad := range []job.Status{job.Firing, job.Cancelled, "other"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("finishing as %q does not panic", bad)
				}
			}()
			r.Finish(job.Result{Status: bad}, now)
		}()
	}
}

func TestJudge(t *testing.T) {
	f := job.Fire{Arming: job.Arming{FireID: "fire-1"}, Claim: 7}
	at := func(s job.Status, revision, replaces uint64, id string) job.Record {
		return job.Record{Arming: job.Arming{FireID: id}, Status: s, Revision: revision, Replaces: job.Position{Seq: replaces}}
	}
	for _, tt := range []struct {
		name  string
		r     job.Record
		found bool
		want  job.Standing
	}{
		{"at its claim", at(job.Firing, 7, 6, "fire-1"), true, job.Valid},
		{"no record", job.Record{}, false, job.Undecided},
		{"older record", at(job.Scheduled, 6, 0, "fire-1"), true, job.Undecided},
		{"finished", at(job.Delivered, 8, 7, "fire-1"), true, job.Superseded},
		{"claimed anew", at(job.Firing, 8, 7, "fire-1"), true, job.Superseded},
		{"died on it", at(job.Dead, 8, 7, "fire-1"), true, job.Buried},
		{"died on a later claim", at(job.Dead, 9, 8, "fire-1"), true, job.Superseded},
		{"died of another arming", at(job.Dead, 8, 7, "fire-2"), true, job.Superseded},
		{"its revision, another arming", at(job.Firing, 7, 6, "fire-2"), true, job.Superseded},
	} {
		if got := job.Judge(f, tt.r, tt.found); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
