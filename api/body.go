package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"belfry/internal/job"
)

// unread says why a body was not read. It is answered like the
// [job.ErrSyntax] that it wraps, without judging what the body holds.
type unread string

func (u unread) Error() string { return "the body " + string(u) }
func (unread) Unwrap() error   { return job.ErrSyntax }

// readBody reads a body of up to limit bytes. It reads nothing of one that
// says it is longer, and no more than the limit of one that does not say, and
// has the connection closed, so that the server does not read the rest either.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if err := plainEncoding(r); err != nil {
		return nil, err
	}
	tooLarge := fmt.Errorf("%w: the body has more than %d bytes", job.ErrTooLarge, limit)
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close")
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		// The server is told by MaxBytesReader only if w is its own.
		w.Header().Set("Connection", "close")
		return nil, tooLarge
	case err != nil:
		return nil, bodyError(err)
	}
	return body, nil
}

// plainEncoding refuses a body that is compressed, whichever of the headers says
// so: each may be given more than once, and have a list.
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

// bodyError says why a body could not be read on. Errors of the contract stay.
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
