package backup

import (
	"errors"
	"fmt"
	"time"

	"belfry/internal/contract"
	"belfry/internal/job"
)

// entry reads what the line holds. Its errors quote ids at most.
func (l line) entry() (job.Entry, error) {
	key := job.Key{DB: l.DB, Collection: l.Collection, ID: l.ID}
	switch job.EntryKind(l.Kind) {
	case job.TokenEntry:
		t, err := contract.ParseStoredToken(l.Token, l.ID)
		return job.Entry{Token: &t}, err
	case job.RevokedEntry:
		if !job.IsTokenID(l.ID) {
			return job.Entry{}, errors.New("its id is no token's")
		}
		return job.Entry{Revoked: l.ID}, nil
	case job.JobEntry:
		r, err := l.record(key)
		return job.Entry{Job: &r}, err
	case job.RouteEntry:
		r, err := contract.ParseStoredRoute(l.Route, job.RouteKey{DB: l.DB, ID: l.ID})
		return job.Entry{Route: &r}, err
	case job.LetterEntry:
		f, err := l.fire(key)
		if err == nil && (!l.Reason.Known() || l.Died <= 0) {
			err = errors.New("its reason or died_at is none")
		}
		return job.Entry{Letter: &job.Letter{Fire: f, Died: time.UnixMilli(l.Died), Reason: l.Reason, Detail: l.Detail}}, err
	case job.FireEntry:
		f, err := l.fire(key)
		return job.Entry{Fire: &f}, err
	case job.AttemptEntry:
		if err := key.Check(); err != nil {
			return job.Entry{}, err
		}
		a, err := contract.ParseAttempt(l.Attempt)
		return job.Entry{Attempt: &job.KeptAttempt{Key: key, Attempt: a}}, err
	}
	return job.Entry{}, fmt.Errorf("its kind is %s; accepted are %v", job.Quote(l.Kind), job.EntryKinds())
}

func (l line) record(key job.Key) (job.Record, error) {
	a, err := l.arming(key)
	if err != nil {
		return job.Record{}, err
	}
	r := job.Record{
		Arming: a, Status: l.Status, Due: l.Due, Finished: l.Finished,
		Reason: l.Reason, Detail: l.Detail, Revision: l.Revision,
	}
	switch {
	case !r.Status.Waiting() && !r.Status.Final():
		return r, fmt.Errorf("its status is %s; that of a job that waits or is over is accepted", job.Quote(string(r.Status)))
	case r.Status.Waiting() && (r.Due <= 0 || r.Due > job.MaxTrigger || r.Finished != 0),
		r.Status.Final() && (r.Finished <= 0 || r.Due != 0):
		return r, fmt.Errorf("its due or finished_time is not that of a job that is %s", r.Status)
	case r.Revision == 0, r.Reason != "" && !r.Reason.Known():
		return r, errors.New("its revision or reason is none")
	}
	return r, nil
}

func (l line) fire(key job.Key) (job.Fire, error) {
	a, err := l.arming(key)
	switch {
	case err != nil:
		return job.Fire{}, err
	case a.FireID == "", l.Claim == 0:
		return job.Fire{}, errors.New("its fire_id or claim is none")
	}
	return job.Fire{Arming: armingOfFire(a), Claim: l.Claim}, nil
}
