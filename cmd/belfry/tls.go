package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// certificate is the key pair of the HTTP API, as its files have it. New connections get
// the newest complete pair; existing ones keep theirs.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	// These hold the files as they were last read; only load and run use them. read
	// tells files that were empty from files that were not read yet.
	read bool
	pem  [2][]byte
	pair atomic.Pointer[tls.Certificate]
}

// certificate loads the key pair of --tls-cert, or returns nil without it.
func (s *Server) certificate() (*certificate, error) {
	if s.cfg.TLSCert == "" {
		return nil, nil
	}
	c := &certificate{certFile: s.cfg.TLSCert, keyFile: s.cfg.TLSKey, log: s.log}
	if _, err := c.load(); err != nil {
		return nil, fmt.Errorf("--tls-cert %q and --tls-key %q: %w", c.certFile, c.keyFile, err)
	}
	return c, nil
}

// load reads the files and reports whether they hold another pair than before. Files
// that cannot be used change nothing, and are an error once.
func (c *certificate) load() (changed bool, err error) {
	certPEM, err := os.ReadFile(c.certFile)
	if err != nil {
		return false, err
	}
	keyPEM, err := os.ReadFile(c.keyFile)
	if err != nil {
		return false, err
	}
	if c.read && bytes.Equal(certPEM, c.pem[0]) && bytes.Equal(keyPEM, c.pem[1]) {
		return false, nil
	}
	c.read, c.pem = true, [2][]byte{certPEM, keyPEM}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return false, err
	}
	c.pair.Store(&pair)
	return true, nil
}

// certEvery is how often the files are read: they are two small ones, and their content
// shows changes that times and names do not, as with the links of mounted secrets.
const certEvery = time.Second

// run loads the pair anew whenever the files change, until ctx ends. A pair that
// does not fit, as when one file is written before the other, leaves the old
// one in use.
func (c *certificate) run(ctx context.Context) error {
	tick := time.NewTicker(certEvery)
	defer tick.Stop()
	told := ""
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		changed, err := c.load()
		switch {
		case err == nil:
			told = ""
		case err.Error() != told:
			told = err.Error()
			c.log.Error("the new certificate cannot be used; the old one stays", "error", err)
		}
		if changed {
			c.log.Info("certificate loaded", "expires", c.pair.Load().Leaf.NotAfter)
		}
	}
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.Load(), nil },
	}
}
