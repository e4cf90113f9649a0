package main

import (
	"context"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// nats-server closes the consumers of a stream one after the other, and waits 10 ms for
// each, however little there is to do for it. With many routes a stop would take longer
// than anybody waits.
const (
	closingEach   = 10 * time.Millisecond
	closingAtMost = 8 * time.Second // the longest wait
	closingElse   = 3 * time.Second // for the other streams, if the first wait was not enough
)

// closeEmbedded stops the embedded server. If the number of consumers alone makes the
// stop take long, closeEmbedded does not wait for its end, and the process ends without
// it. Nothing is lost by that: each write is on disk, or with the system, before it is
// answered, and the acks of the last fires of idle routes are on disk after a tenth of a
// second. closed says that the server has ended.
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

// consumers returns how many consumers the server has, or 0 if it does not say.
func (e *embedded) consumers() int {
	info, err := e.server.Jsz(&server.JSzOptions{})
	if err != nil {
		return 0
	}
	return info.Consumers
}
