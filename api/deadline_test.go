package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// What a server with short timeouts gives to one request is exceeded by each of
// the tests that use it.
const (
	shortTimeout = time.Second
	longRequest  = 5 * shortTimeout / 2
)

// overBoth runs a test with a server of each protocol whose timeouts are short.
func overBoth(t *testing.T, test func(t *testing.T, serve func(http.Handler) *httptest.Server)) {
	for major := 1; major <= 2; major++ {
		t.Run(fmt.Sprintf("HTTP%d", major), func(t *testing.T) {
			t.Parallel()
			test(t, func(handler http.Handler) *httptest.Server {
				srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.ProtoMajor != major {
						t.Errorf("%s %s comes over %s", r.Method, r.URL, r.Proto)
					}
					handler.ServeHTTP(w, r)
				}))
				srv.Config.ReadTimeout, srv.Config.WriteTimeout = shortTimeout, shortTimeout
				if srv.EnableHTTP2 = major == 2; srv.EnableHTTP2 {
					srv.StartTLS()
				} else {
					srv.Start()
				}
				t.Cleanup(srv.Close)
				return srv
			})
		})
	}
}
