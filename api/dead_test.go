package api_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"belfry/internal/job"
)

type letters struct{ *store }

func (s letters) List(ctx context.Context, q job.LetterQuery) (page job.Letters, err error) {
	err = s.with(ctx, func() error { page = s.page(q); return nil })
	return page, err
}

func (s letters) page(q job.LetterQuery) (page job.Letters) {
	for _, l := range s.letters {
		if l.Number < q.Cursor.Next || !q.Matches(l) {
			continue
		}
		if q.Limit > 0 && len(page.Letters) == q.Limit {
			page.Cursor = job.LetterCursor{Next: l.Number, Last: 99}
			break
		}
		page.Letters = append(page.Letters, l)
	}
	return page
}

func (s letters) Get(ctx context.Context, db string, number uint64) (l job.Letter, err error) {
	err = s.with(ctx, func() error {
		for _, l = range s.letters {
			if l.Number == number && l.DB == db {
				return nil
			}
		}
		return job.ErrLetterNotFound
	})
	return l, err
}

func (s letters) Redrive(ctx context.Context, db string, number uint64) (job.LetterRun, error) {
	l, err := s.Get(ctx, db, number)
	if err != nil {
		return job.LetterRun{}, err
	}
	return s.each(ctx, []job.Letter{l}, true), nil
}

func (s letters) Discard(ctx context.Context, db string, number uint64) (job.LetterRun, error) {
	l, err := s.Get(ctx, db, number)
	if err != nil {
		return job.LetterRun{}, err
	}
	return s.each(ctx, []job.Letter{l}, false), nil
}

func (s letters) RedriveEach(ctx context.Context, q job.LetterQuery) (job.LetterRun, error) {
	page, err := s.List(ctx, q)
	run := s.each(ctx, page.Letters, true)
	run.Cursor = page.Cursor
	return run, err
}

func (s letters) DiscardEach(ctx context.Context, q job.LetterQuery) (job.LetterRun, error) {
	page, err := s.List(ctx, q)
	run := s.each(ctx, page.Letters, false)
	run.Cursor = page.Cursor
	return run, err
}

// each removes the letters; to redrive, those with a job that is not theirs
// are skipped.
func (s letters) each(ctx context.Context, all []job.Letter, redrive bool) (run job.LetterRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range all {
		if r, found := s.jobs[l.Key]; redrive && found {
			if _, why := l.Redrive(r, found, trigger); why != "" {
				run.Skipped = append(run.Skipped, job.SkippedLetter{Key: l.Key, Number: l.Number, Why: why})
				continue
			}
		}
		run.Done++
		s.letters = slices.DeleteFunc(s.letters, func(o job.Letter) bool { return o.Number == l.Number })
	}
	return run
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	s := newStore()
	srv := server(t, config(s))
	var want []string
	for i := 1; i <= 4; i++ {
		s.letters = append(s.letters, job.Letter{
			Fire: job.Fire{
				Arming: job.Arming{
					Job: job.Job{
						Key: job.Key{DB: "a/b", Collection: "coll", ID: fmt.Sprint(i)}, Route: fmt.Sprintf("r%d", i%2),
						Trigger: 5, Meta: []byte(`{ "n": 1 }`),
					},
					FireID: "fire", Attempt: 12,
				},
			},
			Number: uint64(i), Died: time.UnixMilli(1667659342000 + int64(100*i)), Reason: job.ReasonExhausted, Detail: "status 500",
		})
		want = append(want, fmt.Sprintf(`{"sequence":%d,"db":"a/b","collection":"coll","id":"%d","route":"r%d","reason":"attempts_exhausted","detail":"status 500","trigger_time":5,"died_at":1667659342%d00,"attempts":12`, i, i, i%2, i))
	}
	armed := job.Record{Arming: job.Arming{Job: job.Job{Key: s.letters[3].Key}, FireID: "other"}, Status: job.Scheduled}
	s.jobs[armed.Key] = armed

	expect(t, srv, "GET", "/dead/a%2Fb?route=r0&reason=attempts_exhausted&after=1667659342100&before=1667659342300", "", 200, `{"dead":[`+want[1]+`}]}`)
	expect(t, srv, "GET", "/dead/a%2Fb?limit=1", "", 200, `{"dead":[`+want[0]+`}],"cursor":"2-99"}`)
	expect(t, srv, "GET", "/dead/a%2Fb?limit=1&cursor=4-99", "", 200, `{"dead":[`+want[3]+`}]}`)
	expect(t, srv, "GET", "/dead/a", "", 200, `{"dead":[]}`)
	expect(t, srv, "GET", "/dead/a%2Fb/3", "", 200, want[2]+`,"meta":{ "n": 1 }}`)
	expect(t, srv, "GET", "/dead/a/3", "", 400, `{"error":"dead letter not found","code":"E121"}`)

	expect(t, srv, "POST", "/dead/a%2Fb/1/redrive", "", 200, `{"redriven":1,"skipped":0}`)
	expect(t, srv, "POST", "/dead/a%2Fb/1/redrive", "", 400, `{"error":"dead letter not found","code":"E121"}`)
	expect(t, srv, "DELETE", "/dead/a%2Fb/2", "", 200, `{"discarded":1,"skipped":0}`)
	expect(t, srv, "POST", "/dead/a%2Fb/redrive", `{"all":true,"limit":1}`, 200, `{"redriven":1,"skipped":0,"cursor":"4-99"}`)
	expect(t, srv, "POST", "/dead/a%2Fb/redrive", `{"all":true,"limit":1,"cursor":"4-99"}`, 200,
		`{"redriven":0,"skipped":1,"skips":[{"sequence":4,"db":"a/b","collection":"coll","id":"4","why":"armed_again"}]}`)
	expect(t, srv, "POST", "/dead/a%2Fb/discard", `{"route":"r0"}`, 200, `{"discarded":1,"skipped":0}`)
	expect(t, srv, "GET", "/dead/a%2Fb", "", 200, `{"dead":[]}`)
}
