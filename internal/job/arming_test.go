package job_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/internal/fieldtest"
	"belfry/internal/job"
)

// A record, its fire and the claim that the fire shows have the same arming,
// including any field that is added later. Every step of a life leaves the arming
// unchanged, except for what that step counts.
func TestArmingIsPassedOn(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1667659342626)
	fieldtest.Each(t, func(path string, a job.Arming) {
		r := job.Record{Arming: a, Status: job.Firing, Revision: 7}
		check := func(what string, got, want any) {
			t.Helper()
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("with the %s set, %s has another (-want +got):\n%s", path, what, diff)
			}
		}
		check("the fire", r.Fire().Arming, a)
		check("the claim of the fire", r.Fire().Record(), r)
		check("the dead record", r.Finish(job.Result{Status: job.Dead}, now).Arming, a)
		check("the retrying record", r.Finish(job.Result{Status: job.Retrying}, now).Arming, a)

		claimed := job.Record{Arming: a, Status: job.Retrying}.Claim(now, 1, 1, time.Minute, "made").Arming
		want := a
		want.Attempt++
		if want.FireID == "" {
			want.FireID = "made"
		}
		check("the claim", claimed, want)

		redriven, why := job.Letter{Fire: r.Fire()}.Redrive(job.Record{}, false, now)
		if why != "" {
			t.Fatalf("not redriven: %s", why)
		}
		check("the redriven record", redriven.Arming,
			job.Arming{Job: a.Job, FireID: job.RedriveID(a.FireID), Redriven: now.UnixMilli()})
	})
}

func TestAgesFrom(t *testing.T) {
	t.Parallel()
	a := job.Arming{Job: job.Job{Trigger: 5}}
	if got := a.AgesFrom(); got != 5 {
		t.Errorf("never redriven: %d, want the trigger time", got)
	}
	if a.Redriven = 9; a.AgesFrom() != 9 {
		t.Errorf("redriven: %d, want when that was", a.AgesFrom())
	}
}
