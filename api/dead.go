package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"belfry/internal/contract"
	"belfry/internal/job"
)

// Letters is the store of dead letters. Its errors are like those of [Jobs].
type Letters interface {
	List(context.Context, job.LetterQuery) (job.Letters, error)
	Get(ctx context.Context, db string, number uint64) (job.Letter, error)

	// Redrive and Discard work on one letter. RedriveEach and DiscardEach work on a
	// page of the letters that the query selects.
	Redrive(ctx context.Context, db string, number uint64) (job.LetterRun, error)
	Discard(ctx context.Context, db string, number uint64) (job.LetterRun, error)
	RedriveEach(context.Context, job.LetterQuery) (job.LetterRun, error)
	DiscardEach(context.Context, job.LetterQuery) (job.LetterRun, error)
}

// The verbs of the answers to redriving and discarding.
const (
	redriven  = "redriven"
	discarded = "discarded"
)

func (a *api) listDead(ctx context.Context, r *http.Request, _ []byte) ([]byte, error) {
	q, err := contract.ParseLetterQuery(r.URL.RawQuery, r.PathValue("db"))
	if err != nil {
		return nil, err
	}
	page, err := a.Letters.List(ctx, q)
	if err != nil {
		return nil, err
	}
	return contract.AppendLetters(nil, page), nil
}

func (a *api) showDead(ctx context.Context, r *http.Request, _ []byte) ([]byte, error) {
	number, err := letterNumber(r)
	if err != nil {
		return nil, err
	}
	l, err := a.Letters.Get(ctx, r.PathValue("db"), number)
	if err != nil {
		return nil, err
	}
	return contract.AppendLetter(nil, l), nil
}

// forOne is the endpoint that does something with the letter in the path.
func forOne(do func(Letters, context.Context, string, uint64) (job.LetterRun, error), done string) plainAction {
	return func(a *api, ctx context.Context, r *http.Request, _ []byte) ([]byte, error) {
		number, err := letterNumber(r)
		if err != nil {
			return nil, err
		}
		run, err := do(a.Letters, ctx, r.PathValue("db"), number)
		if err != nil {
			return nil, err
		}
		return contract.AppendLetterRun(nil, done, run), nil
	}
}

// forEach is the endpoint that does it with the letters selected by the body.
func forEach(do func(Letters, context.Context, job.LetterQuery) (job.LetterRun, error), done string) plainAction {
	return func(a *api, ctx context.Context, r *http.Request, body []byte) ([]byte, error) {
		q, err := contract.ParseLetterRun(body, r.PathValue("db"))
		if err != nil {
			return nil, err
		}
		run, err := do(a.Letters, ctx, q)
		if err != nil {
			return nil, err
		}
		return contract.AppendLetterRun(nil, done, run), nil
	}
}

// letterNumber is the sequence in the path.
func letterNumber(r *http.Request) (uint64, error) {
	n, err := strconv.ParseUint(r.PathValue("sequence"), 10, 63)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%w: its sequence is %s; the number that a list shows is accepted",
			job.ErrLetterNotFound, job.Quote(r.PathValue("sequence")))
	}
	return n, nil
}
