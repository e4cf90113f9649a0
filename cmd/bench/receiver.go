package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// receiver takes webhooks on a free loopback port and answers them all with
// 200. It is leaner than an http.Server, since it shares two cores with what
// it measures.
type receiver struct {
	listener net.Listener
	tally    *tally
}

func receive(t *tally) (*receiver, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{listener: l, tally: t}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			go r.serve(c)
		}
	}()
	return r, nil
}

func (r *receiver) url() string { return "http://" + r.listener.Addr().String() + "/" }

func (r *receiver) close() { r.listener.Close() }

func (r *receiver) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return // the sender has closed
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		r.tally.arrived(body)
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
			return
		}
	}
}
