package api

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"belfry/internal/contract"
	"belfry/internal/room"
)

// An action turns a request into the answer of a 200, or an error. The path values
// of r are ids, unescaped and checked. ctx ends after the time that the endpoint
// may take, or when the client leaves.
type action func(a *api, ctx context.Context, r *http.Request, body []byte) (Answer, error)

// bytes is the limit of a body that is read whole, in bytes; 0 reads none.
func (a *api) bytes(l bodyLimit) int64 {
	switch l {
	case shortBody:
		return MaxBody
	case jobBody:
		return int64(a.Operations.MaxJobBody())
	}
	return 0
}

// serve turns an action into a handler that reads the endpoint's body, and takes up to
// limit.
func (a *api) serve(e endpoint, do action, limit time.Duration) http.HandlerFunc {
	maxBody := a.bytes(e.body)
	return func(w http.ResponseWriter, r *http.Request) {
		if err := unescapePath(r); err != nil {
			a.refuse(w, r, err)
			return
		}
		held := a.Memory.Ticket(r.PathValue("db"))
		defer held.Close()
		var body []byte
		if maxBody > 0 {
			var err error
			if body, err = readBody(r, maxBody, held); err != nil {
				held.Close() // dropping the rest may take a while
				a.refuse(w, r, err)
				return
			}
		}
		ctx, cancel := context.WithTimeout(room.With(r.Context(), held), limit)
		defer cancel()
		answer, err := do(a, ctx, r, body)
		switch {
		case err == nil:
			body = nil
			if err := holdAnswer(ctx, r, held, answer.Body); err != nil {
				a.refuse(w, r, err)
				return
			}
			if answer.Revision != 0 {
				w.Header().Set("ETag", ETag(answer.Revision))
			}
			reply(w, r, http.StatusOK, answer.Body)
		case r.Context().Err() != nil:
			// The client has left. Ending without an answer would be an
			// empty 200 to whoever still listens.
			panic(http.ErrAbortHandler)
		default:
			a.refuse(w, r, err)
		}
	}
}

// holdAnswer makes a request hold nothing but its answer, for as long as sending
// takes: the client may not read it. net/http has its own buffer for a small answer. A
// request that has changed something is answered whether there is room or not.
func holdAnswer(ctx context.Context, r *http.Request, held *room.Ticket, answer []byte) error {
	const small = 4 << 10
	size := int64(len(answer))
	switch {
	case size <= small:
		held.Close()
		return nil
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		held.Keep(size)
		return held.Add(ctx, size-held.Held())
	}
	held.Settle(size)
	return nil
}

// recoverPanic answers 500 for a handler that panicked. Except for a bulk and a
// backup, nothing is written before the whole answer is known.
func (a *api) recoverPanic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch v := recover(); v {
			case nil:
			case http.ErrAbortHandler:
				panic(v)
			default:
				a.refuse(w, r, Panicked(v))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// reply answers with a body and a newline, for humans at a terminal. The rest of the
// request's own body is read and dropped.
func reply(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	if leftUnread(r) {
		w.Header().Set("Connection", "close")
		// Without it net/http reads before it answers. It fails where it is not
		// needed.
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	w.Write(body) // fails only if the client is gone
	io.WriteString(w, "\n")
	linger(w, r)
}

var ok = []byte(contract.OK)
