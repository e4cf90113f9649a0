package contract_test

import (
	"testing"

	"belfry/internal/contract"
	"belfry/internal/job"
)

func FuzzQueries(f *testing.F) {
	f.Add("status=dead&limit=7&cursor=1-2-0", `{"all":true,"cursor":"1-2-1"}`)
	f.Add("due_after=1667659342626&due_before=1667659342627&prefix=%2F", `{"route":"r","dry_run":false,"limit":10000}`)
	f.Fuzz(func(t *testing.T, raw, body string) {
		if q, err := contract.ParseQuery(raw, "db", "c"); err == nil && (q.Check() != nil || q.Limit > job.MaxJobs || q.Limit < 0 || q.Cursor.Part < 0) {
			t.Errorf("%q is read as %+v", raw, q)
		}
		if q, _, err := contract.ParseCancel([]byte(body), "db", ""); err == nil && (q.Check() != nil || q.Limit > job.MaxCancels) {
			t.Errorf("%s is read as %+v", body, q)
		}
		if q, err := contract.ParseRouteQuery(raw, "db"); err == nil && (q.Limit > job.MaxJobs || len(q.After) > job.MaxIDBytes) {
			t.Errorf("%q is read as %+v", raw, q)
		}
		if q, err := contract.ParsePlaceQuery(raw, ""); err == nil && q.Limit > job.MaxJobs {
			t.Errorf("%q is read as %+v", raw, q)
		}
	})
}
