package main

import (
	"context"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// nats-server closes the consumers of a stream one after the other, and waits 10 ms
// for each, whatever there is to do for it. So many routes would make a stop longer
// than anybody waits.
const (
	closingEach   = 10 * time.Millisecond
	closingAtMost = 8 * time.Second // what is waited for
	closingElse   = 3 * time.Second // for the other streams, where that does not do
)

// closeEmbedded stops the embedded server. It does not wait for the end if that
// takes long for the number of consumers alone: the process then ends without it.
// Nothing is lost by that, since each write is on disk, or with the system, before
// it is answered; what the last fires of idle routes were acked by is on disk after
// a tenth of a second. closed says that the server has ended.
func (s *Server) closeEmbedded(ctx context.Context, e *embedded) (closed bool, err error) {
	n := e.consumers()
	if time.Duration(n)*closingEach <= closingAtMost {
		err := e.stop(ctx)
		return err == nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, closingElse)
	defer cancel()
	err = e.stop(ctx)
	if err != nil && ctx.Err() != nil {
		s.log.Warn("nats-server takes too long to close its consumers; the process ends without that, and nothing is lost", "consumers", n)
		return false, nil
	}
	return err == nil, err
}

// consumers is how many consumers the server has; 0 if it does not say.
func (e *embedded) consumers() int {
	info, err := e.server.Jsz(&server.JSzOptions{})
	if err != nil {
		return 0
	}
	return info.Consumers
}
