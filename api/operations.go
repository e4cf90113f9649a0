package api

import (
	"context"

	"belfry/internal/contract"
	"belfry/internal/job"
)

// Operations are the requests about single jobs and routes, and their lists. Each
// reads the body, calls the store, and makes the body of the answer. They know no
// carrier: REST and the NATS service are two ways to call them. Their errors wrap
// those in the rows of [ErrorTable].
type Operations struct {
	Jobs   Jobs
	Routes Routes

	// MaxMeta is the longest meta of a job, in bytes; 0 means 512 KiB.
	MaxMeta int
}

// Request is what is asked, without the parts that only its carrier needs.
type Request struct {
	// DB and Collection are checked. A route has no collection, and neither does a
	// list of a whole db.
	DB         string
	Collection string

	// ID names the job or route, checked. If it is empty, the body names it.
	ID string

	Body []byte

	// Query is the query string of a list.
	Query string

	// IfMatch and IfNoneMatch are the values of those headers. A change must not have
	// IfNoneMatch, and nothing else looks at it.
	IfMatch     []string
	IfNoneMatch []string

	// Trace is the traceparent for a job to keep, or empty.
	Trace string
}

// Answer is the body of a 200. For a job or route that is shown it also has the
// revision, as [ETag] formats it; otherwise that is 0.
type Answer struct {
	Body     []byte
	Revision uint64
}

var done = Answer{Body: []byte(contract.OK)}

// answered is the answer to a write.
func answered(err error) (Answer, error) {
	if err != nil {
		return Answer{}, err
	}
	return done, nil
}

// MaxJobBody is the longest body of a job, in bytes.
func (o Operations) MaxJobBody() int { return o.maxMeta() + MaxBody }

func (o Operations) maxMeta() int {
	if o.MaxMeta == 0 {
		return 512 << 10
	}
	return o.MaxMeta
}

// CreateJob creates the job in the body.
func (o Operations) CreateJob(ctx context.Context, r Request) (Answer, error) {
	j, err := o.parseJob(r)
	if err != nil {
		return Answer{}, err
	}
	return answered(o.Jobs.Create(ctx, j))
}

// GetJob shows a job.
func (o Operations) GetJob(ctx context.Context, r Request) (Answer, error) {
	key, err := r.jobKey()
	if err != nil {
		return Answer{}, err
	}
	rec, err := o.Jobs.Get(ctx, key)
	if err != nil {
		return Answer{}, err
	}
	return Answer{contract.AppendRecord(nil, rec), rec.Revision}, nil
}

// UpdateJob replaces a job with the one in the body.
func (o Operations) UpdateJob(ctx context.Context, r Request) (Answer, error) {
	j, err := o.parseJob(r)
	if err != nil {
		return Answer{}, err
	}
	return answered(r.ifMatch(func(expect uint64) error { return o.Jobs.Update(ctx, j, expect) }))
}

// CancelJob cancels a job.
func (o Operations) CancelJob(ctx context.Context, r Request) (Answer, error) {
	key, err := r.jobKey()
	if err != nil {
		return Answer{}, err
	}
	return answered(r.ifMatch(func(expect uint64) error { return o.Jobs.Cancel(ctx, key, expect) }))
}

// FireJob makes a waiting job due now.
func (o Operations) FireJob(ctx context.Context, r Request) (Answer, error) {
	key, err := r.jobKey()
	if err != nil {
		return Answer{}, err
	}
	return answered(o.Jobs.Fire(ctx, key))
}

// ListJobs lists the jobs that the query string selects.
func (o Operations) ListJobs(ctx context.Context, r Request) (Answer, error) {
	q, err := contract.ParseQuery(r.Query, r.DB, r.Collection)
	return o.listJobs(ctx, q, err)
}

// FindJobs lists the jobs that the body selects.
func (o Operations) FindJobs(ctx context.Context, r Request) (Answer, error) {
	q, err := contract.ParseFind(r.Body, r.DB, r.Collection)
	return o.listJobs(ctx, q, err)
}

func (o Operations) listJobs(ctx context.Context, q job.Query, err error) (Answer, error) {
	if err != nil {
		return Answer{}, err
	}
	page, err := o.Jobs.List(ctx, q)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Body: contract.AppendPage(nil, page)}, nil
}

func (o Operations) parseJob(r Request) (job.Job, error) {
	j, err := contract.ParseJob(r.Body, job.Key{DB: r.DB, Collection: r.Collection, ID: r.ID}, o.maxMeta())
	j.Trace = r.Trace
	return j, err
}

// jobKey is the key of a job that only has to be named.
func (r Request) jobKey() (job.Key, error) {
	id, err := r.id()
	return job.Key{DB: r.DB, Collection: r.Collection, ID: id}, err
}

func (r Request) id() (string, error) {
	if r.ID != "" {
		return r.ID, nil
	}
	return contract.ParseID(r.Body)
}
