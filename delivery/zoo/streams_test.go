package zoo_test

import (
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"belfry/delivery"
	"belfry/internal/job"
)

// A receiver resets the stream of a webhook over HTTP/2. It may have looked at it, so
// the webhook is sent once in a try, unless the receiver says that it has not. The
// connection is as good as before.
func TestResetStream(t *testing.T) {
	for _, tt := range []struct {
		code http2.ErrCode
		want job.Result
		sent int64 // requests for each webhook
	}{
		{http2.ErrCodeInternal, failed("no valid answer"), 1},
		{http2.ErrCodeCancel, failed("no valid answer"), 1},
		{http2.ErrCodeEnhanceYourCalm, failed("no valid answer"), 1},
		{http2.ErrCodeProtocol, failed("no valid answer"), 1},
		{http2.ErrCodeRefusedStream, delivered, 2},
	} {
		t.Run(tt.code.String(), func(t *testing.T) {
			var paths connections
			var over1, calls, onFirst atomic.Int64
			port := http2By(t, &paths, &over1, nil, func(s *session, stream uint32) {
				n := calls.Add(1)
				if s.number == 1 {
					onFirst.Add(1)
				}
				// The first webhook has its answer, so that the connection was in use.
				if n == 1 || tt.code == http2.ErrCodeRefusedStream && n%2 == 1 {
					_ = s.headers(stream, 200, true)
					return
				}
				_ = s.write(func(fr *http2.Framer) error { return fr.WriteRSTStream(stream, tt.code) })
			})
			_, trusted := identity()
			h := newHouse(t, delivery.Config{RootCAs: trusted})
			key := h.route("r", local("https", port, "/animal"), job.Policy{})
			const webhooks = 4
			for n := range 1 + webhooks {
				h.fire(key, 100)
				results, _ := h.await(key, n+1)
				got, want := results[n], tt.want
				if got.RetryAt = 0; n == 0 {
					want = delivered
				}
				if got != want {
					t.Fatalf("webhook %d: got %+v, want %+v", n+1, got, want)
				}
			}
			if n := calls.Load(); n != 1+tt.sent*webhooks {
				t.Errorf("%d webhooks made %d requests, want %d for each after the first", 1+webhooks, n, tt.sent)
			}
			// After PROTOCOL_ERROR the transport itself takes another connection.
			if n := onFirst.Load(); n != calls.Load() && tt.code != http2.ErrCodeProtocol {
				t.Errorf("%d of %d requests came on the first connection", n, calls.Load())
			}
		})
	}
}
