package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"time"

	"belfry/internal/backup"
	"belfry/internal/contract"
	"belfry/internal/job"
	"belfry/internal/room"
)

// Backups is the store as a whole. Its errors are like those of [Jobs].
type Backups interface {
	// Each passes every entry to visit, and ends with its error.
	Each(ctx context.Context, visit func(job.Entry) error) error

	// Restore stores what next returns, until its error is [io.EOF]. The entries
	// belong to the backup with that id. Other errors of next are returned.
	Restore(ctx context.Context, id string, next func() (job.Entry, error)) error
}

// backupType is the media type of a backup file.
const backupType = "application/gzip"

// makeBackup sends a backup while it is made. One that fails halfway ends
// without its last line, and the connection is cut.
func (a *api) makeBackup(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", backupType)
	if r.Method == http.MethodHead {
		return
	}
	out := &download{w: w, deadlines: deadlinesOf(w)}
	defer out.end()
	begun := time.Now()
	file, err := backup.NewWriter(out, backup.Header{ID: rand.Text(), Made: begun.UnixMilli(), Belfry: a.Version})
	if err == nil {
		// Writing notices a client that has left; it may only have shut its side.
		err = a.Backups.Each(context.WithoutCancel(r.Context()), file.Write)
	}
	if err == nil {
		err = file.Close()
	}
	switch {
	case err == nil:
		a.Log.Info("backup made", "jobs", file.Counts()[job.JobEntry], "seconds", time.Since(begun).Seconds())
	case out.left:
		panic(http.ErrAbortHandler)
	case out.begun:
		err = fmt.Errorf("%w: the backup broke off: %w", errInternal, err) // the log has the error, whatever it is
		a.logTrouble(r, rowOf(err, false), err)
		panic(http.ErrAbortHandler)
	default:
		a.refuse(w, r, err)
	}
}

// restoreBackup reads a backup and stores it as it comes.
func (a *api) restoreBackup(w http.ResponseWriter, r *http.Request) {
	in := newUpload(r.Body, deadlinesOf(w))
	defer in.end()
	counts, err := a.restore(r, in)
	in.beforeWrite()
	switch {
	case err == nil:
		reply(w, r, http.StatusOK, contract.AppendRestored(nil, counts))
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // the client has left
	default:
		refuseRest(r)
		a.refuse(w, r, err)
	}
}

func (a *api) restore(r *http.Request, in io.Reader) (job.EntryCounts, error) {
	if err := plainEncoding(r); err != nil {
		return nil, err
	}
	file, err := backup.NewReader(in)
	if err != nil {
		return nil, bodyError(err)
	}
	defer room.Of(r.Context()).Close() // the rest of the body may take a while
	// Reading notices a client that leaves; it may shut its side at the end.
	err = a.Backups.Restore(context.WithoutCancel(r.Context()), file.Header().ID, func() (job.Entry, error) {
		e, err := file.Next()
		switch {
		case err == io.EOF:
			return e, err
		case err != nil:
			return e, bodyError(err)
		case e.Token != nil || e.Revoked != "":
			return e, a.checkAuthOn()
		}
		return e, nil
	})
	return file.Counts(), err
}
