package api_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"belfry/api"
)

// Each test that uses a server with these timeouts exceeds them with one request.
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

// pipes is a listener whose connections are pipes, for virtual time.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, open := <-p
	if !open {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (pipes) Close() error   { return nil }

// A client that no longer sends or reads keeps its connection for about a minute,
// whatever it has asked for.
func TestClientThatStalls(t *testing.T) {
	t.Parallel()
	const oneJob = `{"id":"x","trigger_time":1667659342626,"route":"r"}` + "\n"
	for _, tt := range []struct {
		name, request string
		answers       bool // are read
	}{
		{"a bulk, half sent", "POST /bulk/db/coll HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n" + oneJob, true},
		{"a bulk, half sent and unread", "POST /bulk/db/coll HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n" + oneJob, false},
		{"a bulk in chunks, unread", "POST /bulk/db/coll HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" +
			fmt.Sprintf("%x\r\n%s\r\n", len(oneJob), oneJob), false},
		{"a restore, half sent", "POST /restore HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n\x1f\x8b", true},
		{"a backup with a body that does not come", "GET /backup HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n", true},
		{"a backup, unread", "GET /backup HTTP/1.1\r\nHost: localhost\r\n\r\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := bulkStore(t)
				s.backups.entries = manyJobs
				srv := &http.Server{Handler: api.New(config(s)), ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute}
				listener := make(pipes)
				go srv.Serve(listener)
				client, server := net.Pipe()
				listener <- server
				begun := time.Now()
				if _, err := io.WriteString(client, tt.request); err != nil {
					t.Fatal(err)
				}
				if tt.answers {
					_, _ = io.Copy(io.Discard, client)
				} else {
					synctest.Wait()
					time.Sleep(2 * time.Minute) // of virtual time
					if _, err := client.Write([]byte("x")); err == nil {
						t.Error("the connection is kept")
					}
				}
				if took := time.Since(begun); took > 2*time.Minute {
					t.Errorf("the connection is kept for %v", took)
				}
				client.Close()
				close(listener)
				srv.Close()
			})
		})
	}
}
