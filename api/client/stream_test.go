package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"belfry/api/client"
)

// pipes is a network of [net.Pipe], for tests with their own clock.
type pipes chan net.Conn

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p <- there
	return here, nil
}

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// served returns a client of a server with this handler.
func served(t *testing.T, handler http.HandlerFunc) *client.Client {
	t.Helper()
	network := make(pipes)
	srv := &http.Server{Handler: handler}
	go srv.Serve(network)
	transport := &http.Transport{DialContext: network.dial, ExpectContinueTimeout: time.Hour}
	c, err := client.New("http://belfry", "")
	if err != nil {
		t.Fatal(err)
	}
	c.Over(transport)
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		srv.Close()
	})
	return c
}

// A stream ends when the server stalls, and reports that the server cannot be reached.
func TestStalls(t *testing.T) {
	t.Parallel()
	endless := struct{ io.Reader }{strings.NewReader(strings.Repeat("x", 1<<20))}
	for _, tt := range []struct {
		name   string
		serve  func(w http.ResponseWriter, r *http.Request, gone <-chan struct{})
		upload bool
		after  time.Duration
	}{
		{"no answer", func(_ http.ResponseWriter, _ *http.Request, gone <-chan struct{}) { <-gone }, false, time.Minute},
		{"half an answer", func(w http.ResponseWriter, _ *http.Request, gone <-chan struct{}) {
			io.WriteString(w, "half")
			http.NewResponseController(w).Flush()
			<-gone
		}, false, time.Minute},
		{"half a refusal", func(w http.ResponseWriter, _ *http.Request, gone <-chan struct{}) {
			w.WriteHeader(http.StatusConflict)
			http.NewResponseController(w).Flush()
			<-gone
		}, false, time.Minute},
		{"nothing is taken", func(_ http.ResponseWriter, _ *http.Request, gone <-chan struct{}) { <-gone }, true, 30 * time.Minute},
		{"half is taken", func(_ http.ResponseWriter, r *http.Request, gone <-chan struct{}) {
			io.CopyN(io.Discard, r.Body, 1<<19)
			<-gone
		}, true, 30 * time.Minute},
		{"all is taken and not answered", func(_ http.ResponseWriter, r *http.Request, gone <-chan struct{}) {
			io.Copy(io.Discard, r.Body)
			<-gone
		}, true, 30 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gone := make(chan struct{})
				c := served(t, func(w http.ResponseWriter, r *http.Request) { tt.serve(w, r, gone) })
				begun := time.Now()
				var err error
				if tt.upload {
					_, err = c.Upload(t.Context(), "/x", endless)
				} else {
					var body io.ReadCloser
					if body, err = c.Download(t.Context(), "/x"); err == nil {
						_, err = io.Copy(io.Discard, body)
						body.Close()
					}
				}
				if took := time.Since(begun); !errors.Is(err, client.ErrUnreachable) || errors.Is(err, context.Canceled) || took != tt.after {
					t.Errorf("after %v: %v, want ErrUnreachable after %v", took, err, tt.after)
				}
				close(gone)
			})
		})
	}
}

// A slow caller is no stall.
func TestSlowCallers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const text = "as slow as it likes"
		c := served(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				io.WriteString(w, text)
				return
			}
			if body, err := io.ReadAll(r.Body); err != nil || string(body) != text {
				t.Errorf("the upload is %q, %v; want %q", body, err, text)
			}
			io.WriteString(w, "{}")
		})
		body, err := c.Download(t.Context(), "/x")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // virtual time
		if got, err := io.ReadAll(slow{body}); string(got) != text || err != nil {
			t.Errorf("the download is %q, %v; want %q", got, err, text)
		}
		body.Close()
		if _, err := c.Upload(t.Context(), "/x", slow{strings.NewReader(text)}); err != nil {
			t.Errorf("a slow upload: %v", err)
		}
	})
}

// slow takes an hour for a byte.
type slow struct{ io.Reader }

func (s slow) Read(p []byte) (int, error) {
	time.Sleep(time.Hour) // virtual time
	return s.Reader.Read(p[:1])
}

// An upload that is refused at once is not sent.
func TestRefusedUploadIsNotSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := served(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, `{"error":"no","code":"E403"}`)
		})
		body := strings.NewReader(strings.Repeat("x", 1<<20))
		_, err := c.Upload(t.Context(), "/x", body)
		var refused *client.Error
		if !errors.As(err, &refused) || refused.Code != "E403" || body.Len() != 1<<20 {
			t.Errorf("refused: %v, and %d bytes are not sent; want E403 and %d", err, body.Len(), 1<<20)
		}
	})
}
