package zoo_test

import (
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"belfry/delivery"
	"belfry/internal/job"
)

// A receiver resets the stream of a webhook over HTTP/2, or breaks the protocol. It may
// have looked at it, so the webhook is sent once in a try, unless the receiver says that
// it has not. After a reset the connection is as good as before.
func TestResetStream(t *testing.T) {
	for _, tt := range []struct {
		name  string
		reset func(fr *http2.Framer, stream uint32) error
		want  job.Result
		sent  int64 // requests for each webhook
		same  bool  // connection
	}{
		{"INTERNAL_ERROR", resetBy(http2.ErrCodeInternal), failed("no valid answer"), 1, true},
		{"CANCEL", resetBy(http2.ErrCodeCancel), failed("no valid answer"), 1, true},
		{"ENHANCE_YOUR_CALM", resetBy(http2.ErrCodeEnhanceYourCalm), failed("no valid answer"), 1, true},
		// After this the transport itself takes another connection.
		{"PROTOCOL_ERROR", resetBy(http2.ErrCodeProtocol), failed("no valid answer"), 1, false},
		{"REFUSED_STREAM", resetBy(http2.ErrCodeRefusedStream), delivered, 2, true},
		{"GOAWAY before it", func(fr *http2.Framer, stream uint32) error {
			return fr.WriteGoAway(stream-2, http2.ErrCodeNo, nil)
		}, delivered, 2, false},
		{"a frame that must not be", func(fr *http2.Framer, _ uint32) error {
			return fr.WriteRawFrame(http2.FrameData, 0, 0, nil)
		}, failed("no valid answer"), 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var paths connections
			var over1, calls, resets, onFirst atomic.Int64
			port := http2By(t, &paths, &over1, nil, func(s *session, stream uint32) {
				n := calls.Add(1)
				if s.number == 1 {
					onFirst.Add(1)
				}
				// A connection was in use before, and a repeat is answered.
				if stream == 1 || tt.sent == 2 && n%2 == 1 {
					_ = s.headers(stream, 200, true)
					return
				}
				resets.Add(1)
				_ = s.write(func(fr *http2.Framer) error { return tt.reset(fr, stream) })
			})
			_, trusted := identity()
			h := newHouse(t, delivery.Config{RootCAs: trusted})
			key := h.route("r", local("https", port, "/animal"), job.Policy{})
			for n := range 5 {
				before, resetsBefore := calls.Load(), resets.Load()
				h.fire(key, 100)
				results, _ := h.await(key, n+1)
				got, want, sent := results[n], delivered, int64(1)
				if resets.Load() > resetsBefore {
					want, sent = tt.want, tt.sent
				}
				if got.RetryAt = 0; got != want || calls.Load()-before != sent {
					t.Fatalf("webhook %d: got %+v after %d requests, want %+v after %d", n+1, got, calls.Load()-before, want, sent)
				}
			}
			if n := resets.Load(); n < 2 {
				t.Errorf("%d webhooks of five were reset, want two or more", n)
			}
			if n := onFirst.Load(); tt.same && n != calls.Load() {
				t.Errorf("%d of %d requests came on the first connection", n, calls.Load())
			}
		})
	}
}

func resetBy(code http2.ErrCode) func(*http2.Framer, uint32) error {
	return func(fr *http2.Framer, stream uint32) error { return fr.WriteRSTStream(stream, code) }
}
