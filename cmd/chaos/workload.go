package main

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"belfry/api/client"
)

// workload plays the stories of a plan on the nodes.
type workload struct {
	*caller
	seed  uint64
	start time.Time
}

// content is the meta of each job: it says what receivers need to know.
type content struct {
	Job    string `json:"job"`
	Step   int    `json:"step"`
	Refuse bool   `json:"refuse"`
}

// run carries out all stories, and returns when the last is over.
func (w *workload) run(ctx context.Context, stories []story) []told {
	all := make([]told, len(stories))
	var tellers sync.WaitGroup
	for i, s := range stories {
		tellers.Go(func() { all[i] = w.tell(ctx, s) })
	}
	tellers.Wait()
	return all
}

// tell carries out one story. It ends early with a step that was not acknowledged. It
// also ends after a step that was acknowledged only after a send in doubt: that send may
// still be on its way, and would undo the next step.
func (w *workload) tell(ctx context.Context, s story) told {
	t := told{id: s.id, route: s.route}
	h := fnv.New64a()
	h.Write([]byte(s.id)) // a Hash never returns an error
	r := rand.New(rand.NewPCG(w.seed, h.Sum64()))
	limit := patience
	if s.impatient {
		limit = impatience
	}
	for i, step := range s.steps {
		if wait(ctx, time.Until(w.start.Add(step.at))) != nil {
			break
		}
		a := asked{op: step.op, content: i, due: w.start.Add(step.due).Truncate(time.Millisecond), sent: time.Now()}
		got := w.ask(ctx, r, limit, s, a)
		a.outcome, a.detail, a.sends, a.ended = got.outcome(), fmt.Sprintf("%d %s", got.status, got.body), got.sends, time.Now()
		t.asked = append(t.asked, a)
		if a.outcome != acked || got.doubt {
			break
		}
	}
	return t
}

func (w *workload) ask(ctx context.Context, r *rand.Rand, limit time.Duration, s story, a asked) answer {
	if a.op == opCancel {
		return w.do(ctx, r, limit, http.MethodDelete, jobPath(s.id), "")
	}
	meta, _ := json.Marshal(content{s.id, a.content, s.refuse}) // it can always be encoded
	if a.op == opCreate {
		body := client.NewJob{ID: s.id, TriggerTime: a.due.UnixMilli(), Meta: meta, Route: s.route}
		return w.do(ctx, r, limit, http.MethodPost, "/job/"+db+"/"+collection, encode(body))
	}
	body := client.JobChange{ID: s.id, TriggerTime: a.due.UnixMilli(), Meta: meta, Route: s.route}
	return w.do(ctx, r, limit, http.MethodPut, jobPath(s.id), encode(body))
}
