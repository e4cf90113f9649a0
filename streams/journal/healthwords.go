package journal

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// theServerSays stands between a reason and the server's own line about a stream.
const theServerSays = "; the server says: "

// words says why a write fails, in the server's own words as far as there are any.
func (h *Health) words(stream string, err error, kind writeAnswer) string {
	var refused *jetstream.APIError
	switch {
	case errors.As(err, &refused):
		return fmt.Sprintf("%s (%d)", refused.Description, refused.ErrorCode)
	case kind == IsRefused:
		return err.Error()
	}
	why := "nobody takes them: JetStream is off, or the stream is gone or has no leader"
	if kind == noAnswer {
		why = "the server does not answer them"
	}
	lines := strings.Split(h.reason(stream), "; ")
	if last := lines[len(lines)-1]; strings.Contains(last, stream) || strings.Contains(last, "JetStream") {
		return why + theServerSays + last
	}
	return why
}

// AdviceFor returns what an operator can do about a failure.
func AdviceFor(kind writeAnswer, err error) string {
	switch {
	case tooLarge(err):
		return "raise max_msg_size of the stream, or take it away"
	case isFull(err):
		return "raise max_bytes of the stream, or take it away, or wait until some of what it holds is old"
	case isShort(err):
		return "free storage, or raise max_file_store of the NATS server, which is three quarters of the space at its start by default"
	case kind == IsRefused:
		return "look at the limits of the stream, of the account and of the server, or whether another stream has taken its place"
	}
	return "look at the disk and the limits of the NATS server (space, open files), and at its log"
}
