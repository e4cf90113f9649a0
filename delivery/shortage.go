package delivery

import (
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"
)

// shortages are the errors of a machine that has run out of a resource. They say
// nothing about the receiver.
var shortages = []syscall.Errno{
	syscall.EMFILE, syscall.ENFILE, // open files
	syscall.ENOBUFS, syscall.ENOMEM, // memory of the kernel
	syscall.EADDRNOTAVAIL, // ports
}

// shortageIn returns which shortage of this machine made a try fail.
func shortageIn(err error) (syscall.Errno, bool) {
	dns, isDNS := errors.AsType[*net.DNSError](err)
	for _, e := range shortages {
		if isDNS && e == syscall.EADDRNOTAVAIL {
			continue // see [errNoSource]: a name server fails like this for ever
		}
		// A resolver keeps only the text of the error that kept it from asking.
		if errors.Is(err, e) || isDNS && strings.HasSuffix(dns.Err, e.Error()) {
			return e, true
		}
	}
	return 0, false
}

// shortageEvery is how often the log says that tries are put off.
const shortageEvery = time.Minute

// shortageLog says that this machine cannot make tries: at once, and then once
// a minute while that goes on. It is safe for concurrent use.
type shortageLog struct {
	mu   sync.Mutex // guards what follows
	said time.Time
	more int // tries put off since then
}

func (s *shortageLog) putOff(log *slog.Logger, cause string, now time.Time) {
	s.mu.Lock()
	s.more++
	n := s.more
	if !s.said.IsZero() && now.Sub(s.said) < shortageEvery {
		s.mu.Unlock()
		return
	}
	s.said, s.more = now, 0
	s.mu.Unlock()
	log.Error("this machine cannot call webhooks: tries are put off and use no attempt", "error", cause, "tries", n)
}
