package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// plan says when jobs are due.
type plan struct {
	jobs int
	rate int // per second; 0 is all in one millisecond
}

// due is the time of job i of a plan that begins at start.
func (p plan) due(start time.Time, i int) time.Time {
	if p.rate > 0 {
		start = start.Add(time.Duration(i) * time.Second / time.Duration(p.rate))
	}
	return start.Truncate(time.Millisecond)
}

// dues returns the due times of a plan whose first job is due after the given duration.
func (p plan) dues(ahead time.Duration) (first time.Time, due func(int) time.Time) {
	first = time.Now().Add(ahead).Truncate(time.Millisecond)
	return first, func(i int) time.Time { return p.due(first, i) }
}

// ahead is how long before the first due time the creation of jobs begins. It must be
// done by then, or the row fails.
func ahead(synced string, jobs int) time.Duration {
	perSecond := 8000
	if synced == always {
		perSecond = 2000 // one sync each, for native schedules
	}
	return 4*time.Second + time.Duration(jobs)*time.Second/time.Duration(perSecond)
}

var errLatePreparation = errors.New("the jobs could not be created before they were due")

// play has prepare create all jobs of a plan that long before the first is due, and
// returns its row's figures when all have arrived.
func (p plan) play(ctx context.Context, t *tally, ahead time.Duration, prepare func(due func(i int) time.Time) error) (figures, error) {
	first, due := p.dues(ahead)
	if err := prepare(due); err != nil {
		return nil, err
	}
	if time.Now().After(first) {
		return nil, errLatePreparation
	}
	return p.run(ctx, t, first)
}

// settleTime is how long all jobs may take to arrive after the last is due.
const settleTime = 90 * time.Second

// run waits for all jobs of a plan whose first job is due at first, and returns its
// row's figures.
func (p plan) run(ctx context.Context, t *tally, first time.Time) (figures, error) {
	span := time.Until(p.due(first, p.jobs-1))
	if err := t.wait(ctx, span+settleTime); err != nil {
		return nil, err
	}
	if p.rate == 0 {
		return t.burst(first), nil
	}
	return t.lateness(), nil
}

// meta is what job i carries: some 200 bytes of JSON with its number and its due time,
// so that all contestants carry the same.
func meta(i int, due time.Time) []byte {
	return fmt.Appendf(nil, `{"n":%d,"due":%d,"text":"%0150d"}`, i, due.UnixMilli(), 0)
}

func parseMeta(b []byte) (i int, due time.Time, err error) {
	rest, ok := bytes.CutPrefix(b, []byte(`{"n":`))
	n, rest, ok2 := bytes.Cut(rest, []byte(`,"due":`))
	ms, _, ok3 := bytes.Cut(rest, []byte(","))
	if !ok || !ok2 || !ok3 {
		return 0, due, fmt.Errorf("not a meta of this run: %.50q", b)
	}
	i, err = strconv.Atoi(string(n))
	if err != nil {
		return 0, due, err
	}
	t, err := strconv.ParseInt(string(ms), 10, 64)
	return i, time.UnixMilli(t), err
}
