package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"belfry/internal/job"
	"belfry/internal/room"
)

// unread says why a body was not read. It is answered like the [job.ErrSyntax] that it
// wraps, without judging the body's content.
type unread string

func (u unread) Error() string { return "the body " + string(u) }
func (unread) Unwrap() error   { return job.ErrSyntax }

// readBody reads a body of up to limit bytes. It reads nothing of one that
// says it is longer, and no more than the limit of one that does not say; see
// [linger] for the rest. held makes room for one that is longer than [MaxBody],
// before it is read.
func readBody(r *http.Request, limit int64, held *room.Ticket) ([]byte, error) {
	if err := plainEncoding(r); err != nil {
		return nil, err
	}
	tooLarge := fmt.Errorf("%w: the body has more than %d bytes", job.ErrTooLarge, limit)
	if r.ContentLength > limit {
		refuseRest(r)
		return nil, tooLarge
	}
	body, err := readHeld(r, http.MaxBytesReader(nil, r.Body, limit), limit, held)
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		refuseRest(r)
		return nil, tooLarge
	case errors.Is(err, room.ErrFull):
		refuseRest(r)
		return nil, err
	case err != nil:
		return nil, bodyError(err)
	}
	return body, nil
}

// readHeld reads a body of up to limit bytes. The message to the store is a second
// copy, and it holds room for that, too.
func readHeld(r *http.Request, in io.Reader, limit int64, held *room.Ticket) ([]byte, error) {
	length := r.ContentLength
	if length > MaxBody {
		if err := held.Add(r.Context(), 2*length); err != nil {
			return nil, err
		}
	}
	body, err := io.ReadAll(io.LimitReader(in, MaxBody))
	if err != nil || len(body) < MaxBody {
		return body, err
	}
	if length < 0 { // the length is not declared
		if err := held.Add(r.Context(), 2*limit); err != nil {
			return nil, err
		}
	}
	whole := bytes.NewBuffer(make([]byte, 0, max(length, 0)+bytes.MinRead))
	whole.Write(body)
	_, err = whole.ReadFrom(in)
	return whole.Bytes(), err
}

// plainEncoding refuses a compressed body, whichever of the headers says so: each may
// be given more than once, and have a list.
func plainEncoding(r *http.Request) error {
	for _, value := range r.Header.Values("Content-Encoding") {
		for encoding := range strings.SplitSeq(value, ",") {
			encoding = strings.Trim(encoding, " \t")
			if encoding != "" && !strings.EqualFold(encoding, "identity") {
				return unread("has the Content-Encoding " + job.Quote(encoding) + "; plain JSON is accepted")
			}
		}
	}
	return nil
}

// bodyError says why reading a body failed. Errors of the contract stay as they are.
func bodyError(err error) error {
	for _, row := range errorTable {
		if errors.Is(err, row.Err) {
			return err
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return unread("did not arrive in time")
	}
	return unread("could not be read to its end")
}
