package api_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"belfry/api"
)

// A probe is answered in time although its check hangs and ignores its deadline.
func TestProbeWhileAllHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := config(newStore())
		hangs, looks := make(chan struct{}), atomic.Int32{}
		cfg.Ready = func(context.Context) error {
			looks.Add(1)
			<-hangs
			return nil
		}
		handler := api.New(cfg)
		probe := func() (int, string) {
			began, rec := time.Now(), httptest.NewRecorder()
			handler.ServeHTTP(rec, httptest.NewRequest("GET", "http://localhost/readyz", nil))
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("a probe took %v, want at most 2s", took)
			}
			return rec.Code, rec.Body.String()
		}
		for range 3 {
			if code, body := probe(); code != http.StatusServiceUnavailable || !strings.Contains(body, `"code":"E304"`) || !strings.Contains(body, "more than 2s") {
				t.Errorf("while all hangs a probe gets %d %s, want 503 and E304", code, body)
			}
		}
		if n := looks.Load(); n != 1 {
			t.Errorf("%d looks hang, want 1", n)
		}
		close(hangs)
		synctest.Wait()
		if code, body := probe(); code != http.StatusOK {
			t.Errorf("afterwards a probe gets %d %s, want 200", code, body)
		}
	})
}

// A panic in a probe's check ends only the probe.
func TestProbeThatPanics(t *testing.T) {
	t.Parallel()
	cfg := config(newStore())
	cfg.Ready = func(context.Context) error { panic("so it is") }
	expect(t, server(t, cfg), "GET", "/readyz", "", 500, `{"error":"internal error","code":"E301"}`)
}

// A look whose time is over still reports the results it has.
func TestProbeTellsWhatItWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := config(newStore())
		cfg.Ready = func(ctx context.Context) error {
			<-ctx.Done()
			return errors.New("stream FIRES: its cluster has no leader")
		}
		rec := httptest.NewRecorder()
		api.New(cfg).ServeHTTP(rec, httptest.NewRequest("GET", "http://localhost/readyz", nil))
		if body := rec.Body.String(); rec.Code != http.StatusServiceUnavailable || !strings.Contains(body, "no leader") {
			t.Errorf("the probe gets %d %s, want 503 and what was waited for", rec.Code, body)
		}
	})
}

// A look that was held up does not report an old result as the current state.
func TestProbeOfLongAgo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := config(newStore())
		cfg.Warnings = func() []string {
			time.Sleep(time.Minute)
			return nil
		}
		handler := api.New(cfg)
		for range 40 { // some join the look just before it ends
			rec := httptest.NewRecorder()
			handler.ServeHTTP(rec, httptest.NewRequest("GET", "http://localhost/readyz", nil))
			if rec.Code != http.StatusServiceUnavailable {
				t.Errorf("a probe gets %d %s, want 503", rec.Code, rec.Body)
			}
		}
		time.Sleep(time.Minute) // until the last look is over
	})
}
