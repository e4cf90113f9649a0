package api

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"golang.org/x/sync/semaphore"

	"belfry/internal/contract"
	"belfry/internal/room"
)

const (
	// bulkWindow is how many jobs of one bulk are under way at once, so that
	// their writes share the syncs.
	bulkWindow = 512
	// bulkBytes bounds their bodies together; a larger body is handled alone.
	bulkBytes = 16 << 20
)

// bulk is the work on one request for many jobs: they are read one by one, created
// concurrently, and answered in their order, each on a line. It stops reading from a
// client that does not read its answers.
type bulk struct {
	*api
	w http.ResponseWriter
	r *http.Request
	deadlines
	trouble sync.Once // logged once

	held *room.Ticket // the buffers, and one job that is in hand
	grew bool         // held has room for a large one
}

// bulkHolds is what every bulk holds: the bytes read ahead, and a job that is not
// large, with its message.
const bulkHolds = 3 * contract.BulkSmall

// grow makes room for a large job in hand.
func (b *bulk) grow() error {
	if b.grew {
		return nil
	}
	err := b.held.Add(b.r.Context(), 2*int64(b.Operations.MaxJobBody()))
	b.grew = err == nil
	return err
}

// one is a job of the bulk; the other fields are set once done is closed.
type one struct {
	number int
	done   chan struct{}
	id     string
	err    error
}

// createJobs creates the jobs of an array, or of NDJSON.
func (a *api) createJobs(w http.ResponseWriter, r *http.Request) {
	if err := plainEncoding(r); err != nil {
		a.refuse(w, r, err)
		return
	}
	b := &bulk{api: a, w: w, r: r, deadlines: deadlinesOf(w), held: room.Of(r.Context())}
	defer b.end()
	_ = b.conn.EnableFullDuplex() // HTTP/2 always is full duplex
	in := contract.NewBulk(newUpload(r.Body, b.deadlines), a.Operations.MaxJobBody())
	in.Grow = b.grow
	if err := b.held.Add(r.Context(), bulkHolds); err != nil {
		b.beforeWrite()
		refuseRest(r)
		a.refuse(w, r, err)
		return
	}
	first, number, more, err := in.Next()
	if err != nil && err != io.EOF && !more {
		b.beforeWrite()
		refuseRest(r)
		a.refuse(w, r, bodyError(err))
		return
	}

	ctx, leave := context.WithCancel(r.Context())
	defer leave()
	queue := make(chan *one, bulkWindow)
	written := make(chan error, 1)
	go func() {
		err := b.answer(queue)
		if err != nil {
			leave()
		}
		written <- err
	}()
	early := b.feed(ctx, queue, in, first, number, more, err)
	close(queue)
	if <-written != nil || r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client has left, or does not read
	}
	if early {
		b.beforeWrite()
		refuseRest(r)
		linger(w, r)
	}
}

// feed has each job created, from the first on, and queues it for its answer. It ends
// early when reading the rest of the body is useless. If there is no room for a job
// beside the others, feed waits for it before it reads the next one.
func (b *bulk) feed(ctx context.Context, queue chan<- *one, in *contract.Bulk, object []byte, number int, more bool, err error) (early bool) {
	window := semaphore.NewWeighted(max(bulkBytes, int64(b.Operations.MaxJobBody())))
	for ; err != io.EOF; object, number, more, err = in.Next() {
		o := &one{number: number, done: make(chan struct{}), err: err}
		size := int64(len(object))
		if window.Acquire(ctx, size) != nil {
			return true
		}
		select {
		case queue <- o:
		case <-ctx.Done():
			return true
		}
		if err != nil {
			o.err = bodyError(err)
			close(o.done)
			if !more {
				return true
			}
		} else {
			held := b.held.Beside()
			alone := !held.TryAdd(2 * size)
			go func(body []byte) {
				defer close(o.done)
				defer window.Release(size)
				defer held.Close()
				o.id, o.err = b.create(room.With(ctx, held), body)
			}(object)
			if alone {
				<-o.done
			}
		}
	}
	return false
}

// create creates one job.
func (b *bulk) create(ctx context.Context, body []byte) (id string, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = Panicked(v)
		}
	}()
	j, err := b.Operations.parseJob(Request{DB: b.r.PathValue("db"), Collection: b.r.PathValue("collection"), Body: body, Trace: traceOf(b.r)})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, b.Timeout)
	defer cancel()
	return j.ID, b.Operations.Jobs.Create(ctx, j)
}

// answer writes the answers as they come, together when they come fast. It
// returns when the queue is closed, whether the client reads or not.
func (b *bulk) answer(queue <-chan *one) (failed error) {
	b.w.Header().Set("Content-Type", "application/x-ndjson")
	b.w.WriteHeader(http.StatusOK)
	out := bufio.NewWriterSize(b.w, 16<<10)
	flush := func() {
		if failed == nil {
			b.beforeWrite()
			failed = errors.Join(out.Flush(), b.flush())
			b.afterWrite()
		}
	}
	var line []byte
	for {
		var o *one
		open := true
		select {
		case o, open = <-queue:
		default:
			flush()
			o, open = <-queue
		}
		if !open {
			flush()
			return failed
		}
		select {
		case <-o.done:
		default:
			flush()
			<-o.done
		}
		if failed != nil {
			return failed
		}
		line = append(b.appendAnswer(line[:0], o), '\n')
		if out.Available() < len(line) {
			flush()
		}
		_, _ = out.Write(line) // the next flush returns the error
	}
}

func (b *bulk) flush() error {
	if err := b.conn.Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

func (b *bulk) appendAnswer(dst []byte, o *one) []byte {
	if o.err == nil {
		return contract.AppendCreated(dst, o.number, o.id)
	}
	row, reason := ReasonOf(o.err, true)
	if row.Status >= http.StatusInternalServerError && b.r.Context().Err() == nil {
		b.trouble.Do(func() { b.logTrouble(b.r, row, o.err) })
	}
	return contract.AppendNotCreated(dst, o.number, o.id, reason, row.Code)
}
