package api

import (
	"context"
	"io"
	"net/http"
	"time"

	"belfry/internal/room"
)

// A client may send a body to its end before it looks for the answer. If the
// connection is closed while the client sends, it is reset and the answer is lost. So
// an unwanted body is read on and dropped, within these bounds.
const (
	lingerTime   = 30 * time.Second
	lingerIdle   = 5 * time.Second // without a byte
	lingerBrief  = time.Second     // for a request that got no turn
	lingerExpect = time.Second     // without the first byte of a client that was told not to send any
	lingerBytes  = 128 << 20

	// netHTTPDrops is how much net/http itself reads of an unread body in order to
	// keep the connection.
	netHTTPDrops = 256 << 10
)

// body is the body of a request. It knows whether it was read to its end, and
// whether the rest is refused, so that the answer does not wait for it.
type body struct {
	io.ReadCloser
	ended   bool
	refused bool
	brief   bool // the rest is read only briefly
}

// refuseRest makes the answer go out before the rest of the body is read.
func refuseRest(r *http.Request) {
	if b, ok := r.Body.(*body); ok {
		b.refused = true
	}
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.ended = b.ended || err == io.EOF
	return n, err
}

// halfClosedTime is how long a request goes on after its client has shut its side. It
// may wait for its turn, for memory, and for the store before it has its answer.
const halfClosedTime = TurnPatience + room.DefaultPatience + DefaultTimeout + 2*time.Second

// untilAnswered makes sure that a request is answered whose client has shut its side
// after sending it. Over HTTP/1 net/http takes that for a client that has left, and
// ends the request's context. The two look the same until something is sent, so the
// context ends a while later. HTTP/2 has a message for each.
func untilAnswered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 {
			ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
			defer cancel()
			defer context.AfterFunc(r.Context(), func() {
				select {
				case <-ctx.Done():
				case <-time.After(halfClosedTime):
					cancel()
				}
			})()
			r = r.WithContext(ctx)
			r.Body = &body{ReadCloser: r.Body, ended: r.Body == http.NoBody}
		}
		next.ServeHTTP(w, r)
	})
}

// untilWritten lets a request of any length go on after its client has shut its side.
// Reading the body and writing the answer notice a client that has left.
func untilWritten(r *http.Request) *http.Request {
	if r.ProtoMajor != 1 {
		return r
	}
	return r.WithContext(context.WithoutCancel(r.Context()))
}

// leftUnread reports whether part of a request's body is unread in such a way that the
// connection can neither be kept nor closed at once.
func leftUnread(r *http.Request) bool {
	b, ok := r.Body.(*body) // HTTP/2 ends a request without this
	small := 0 <= r.ContentLength && r.ContentLength <= netHTTPDrops && r.Header.Get("Expect") == ""
	return ok && !b.ended && (b.refused || !small)
}

// linger sends the answer, then reads on until the body ends, the client leaves, or a
// bound is reached.
func linger(w http.ResponseWriter, r *http.Request) {
	conn := http.NewResponseController(w)
	if !leftUnread(r) || conn.Flush() != nil {
		return
	}
	idle := lingerIdle
	if r.Header.Get("Expect") != "" {
		idle = lingerExpect
	}
	end := time.Now().Add(lingerTime)
	if b, ok := r.Body.(*body); ok && b.brief {
		end = time.Now().Add(lingerBrief)
	}
	buf := make([]byte, 32<<10)
	for read := 0; read < lingerBytes; {
		deadline := time.Now().Add(idle)
		if deadline.After(end) {
			deadline = end
		}
		if conn.SetReadDeadline(deadline) != nil {
			return
		}
		n, err := r.Body.Read(buf)
		if err != nil {
			return
		}
		read, idle = read+n, lingerIdle
	}
}
