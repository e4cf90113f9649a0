package api

import (
	"io"
	"net/http"
	"time"
)

// idleTime is how long the client of a request of any length may take to send more of
// it, or to take more of the answer, before it is given up.
const idleTime = 30 * time.Second

// deadlines are the deadlines of a request of any length: each read and each write has
// its own. In between there are none, since in HTTP/2 a deadline that passes ends the
// request even if nobody waits. Where they can't be set, the server's deadlines stay.
type deadlines struct{ conn *http.ResponseController }

// deadlinesOf lifts the server's own write deadline.
func deadlinesOf(w http.ResponseWriter) deadlines {
	d := deadlines{http.NewResponseController(w)}
	d.afterWrite()
	return d
}

func (d deadlines) beforeRead()  { _ = d.conn.SetReadDeadline(time.Now().Add(idleTime)) }
func (d deadlines) afterRead()   { _ = d.conn.SetReadDeadline(time.Time{}) }
func (d deadlines) beforeWrite() { _ = d.conn.SetWriteDeadline(time.Now().Add(idleTime)) }
func (d deadlines) afterWrite()  { _ = d.conn.SetWriteDeadline(time.Time{}) }

// end sets deadlines for the reads and writes of the server itself after the handler
// has ended, in whatever way.
func (d deadlines) end() {
	d.beforeRead()
	d.beforeWrite()
}

// upload is a body of any length.
type upload struct {
	body io.Reader
	deadlines
}

// newUpload lifts the server's own read deadline.
func newUpload(body io.Reader, d deadlines) *upload {
	d.afterRead()
	return &upload{body, d}
}

func (u *upload) Read(p []byte) (int, error) {
	u.beforeRead()
	defer u.afterRead()
	return u.body.Read(p)
}

// download is an answer of any length.
type download struct {
	w http.ResponseWriter
	deadlines
	begun bool
	left  bool // the client has left, or does not read
}

func (d *download) Write(p []byte) (int, error) {
	d.begun = true
	d.beforeWrite()
	defer d.afterWrite()
	n, err := d.w.Write(p)
	d.left = d.left || err != nil
	return n, err
}
