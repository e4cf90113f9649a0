package client

import "net/http"

// Over makes the client send over another transport.
func (c *Client) Over(t http.RoundTripper) {
	c.http.Transport, c.streams.Transport = t, t
}
