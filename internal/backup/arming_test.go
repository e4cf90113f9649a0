package backup_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/internal/fieldtest"
	"belfry/internal/job"
)

func goldenRecord() job.Record {
	return job.Record{
		Arming: job.Arming{
			Job: job.Job{
				Key:     job.Key{DB: "a/b", Collection: "c\n", ID: `"ü"`},
				Trigger: 1667659342626,
				Meta:    []byte(`{ "n": 1,"n":2.50 }`),
				Route:   "r 1",
				Trace:   "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
			},
			FireID: "01HF7YAT00000000000000000A", Attempt: 3, Redriven: 1667659343333,
		},
		Status: job.Retrying, Due: 1667659349999,
		Reason: job.ReasonFailed, Detail: "it said no", Revision: 42,
	}
}

// The lines of a record, a letter and a fire have every possible field here, and
// backups of earlier versions have the same bytes. The lines of letters and fires do
// not say when the job was redriven: the next redrive sets another time, and the
// fires in a backup are of NATS routes, which have no retries.
func TestLines(t *testing.T) {
	t.Parallel()
	if unset := fieldtest.Unset(goldenRecord().Arming); len(unset) > 0 {
		t.Errorf("the example has no %v, so nothing shows that it is in a backup", unset)
	}
	retrying, dead, fire := goldenRecord(), goldenRecord(), goldenRecord().Fire()
	dead.Status, dead.Due, dead.Finished, dead.Reason = job.Dead, 0, 1667659349999, job.ReasonExhausted
	letter := job.Letter{Fire: fire, Died: time.UnixMilli(1667659346789), Reason: job.ReasonGone, Detail: "410 Gone"}
	file := write(t, job.Entry{Job: &retrying}, job.Entry{Job: &dead}, job.Entry{Letter: &letter}, job.Entry{Fire: &fire})
	_, lines, _ := strings.Cut(text(t, file), "\n") // after the header
	lines, _, _ = strings.Cut(lines, `{"kind":"end"`)
	const want = `{"kind":"job","db":"a/b","collection":"c\n","job":{"id":"\"ü\"","trigger_time":1667659342626,"meta":{ "n": 1,"n":2.50 },"route":"r 1"},"status":"retrying","due":1667659349999,"fire_id":"01HF7YAT00000000000000000A","attempts":3,"reason":"try_failed","detail":"it said no","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","redriven_at":1667659343333,"revision":42}
{"kind":"job","db":"a/b","collection":"c\n","job":{"id":"\"ü\"","trigger_time":1667659342626,"meta":{ "n": 1,"n":2.50 },"route":"r 1"},"status":"dead","finished_time":1667659349999,"fire_id":"01HF7YAT00000000000000000A","attempts":3,"reason":"attempts_exhausted","detail":"it said no","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","redriven_at":1667659343333,"revision":42}
{"kind":"dead_letter","db":"a/b","collection":"c\n","job":{"id":"\"ü\"","trigger_time":1667659342626,"meta":{ "n": 1,"n":2.50 },"route":"r 1"},"fire_id":"01HF7YAT00000000000000000A","attempts":3,"reason":"receiver_gone","detail":"410 Gone","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","claim":42,"died_at":1667659346789}
{"kind":"fire","db":"a/b","collection":"c\n","job":{"id":"\"ü\"","trigger_time":1667659342626,"meta":{ "n": 1,"n":2.50 },"route":"r 1"},"fire_id":"01HF7YAT00000000000000000A","attempts":3,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","claim":42}
`
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("the lines of a backup (-want +got):\n%s", diff)
	}
	letter.Redriven, fire.Redriven = 0, 0
	back, err := read(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]job.Entry{{Job: &retrying}, {Job: &dead}, {Letter: &letter}, {Fire: &fire}}, back); diff != "" {
		t.Errorf("the lines are read back as (-want +got):\n%s", diff)
	}
}
