package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"belfry/internal/logtest"
	"belfry/internal/waittest"
)

// keyPair is a self-signed certificate for 127.0.0.1, as files have it.
func keyPair(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

func TestCertificateIsRotated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	write := func(file string, data []byte) {
		t.Helper()
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	oldCert, oldKey := keyPair(t, "old")
	newCert, newKey := keyPair(t, "new")
	write(certFile, oldCert)
	write(keyFile, oldKey)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(oldCert)
	roots.AppendCertsFromPEM(newCert)

	cfg := freePorts(t)
	cfg.TLSCert, cfg.TLSKey = certFile, keyFile
	log := &logtest.Log{}
	s := New(cfg, slog.New(slog.NewTextHandler(log, nil)))
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	served := func() string {
		t.Helper()
		conn, err := tls.Dial("tcp", s.Addr(), &tls.Config{RootCAs: roots})
		if err != nil {
			t.Fatalf("the handshake failed: %v", err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := served(); got != "old" {
		t.Fatalf("the certificate is %q, want old", got)
	}
	if _, err := tls.Dial("tcp", s.Addr(), &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is accepted")
	}

	// A client with a connection of its own, which lives through the rotation.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	get := func() {
		t.Helper()
		rsp, err := client.Get("https://" + s.Addr() + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(rsp.Body)
		rsp.Body.Close()
		if rsp.StatusCode != 200 || rsp.Proto != "HTTP/2.0" {
			t.Errorf("GET /healthz: %s %s %s, want 200 over HTTP/2.0", rsp.Status, rsp.Proto, body)
		}
	}
	get()

	write(certFile, newCert) // the key does not fit yet
	waittest.Eventually(t, func() string {
		if !strings.Contains(log.String(), "the new certificate cannot be used; the old one stays") {
			return "nothing is logged about the broken pair"
		}
		return ""
	})
	if got := served(); got != "old" {
		t.Errorf("with a broken pair the certificate is %q, want old", got)
	}
	write(keyFile, newKey)
	waittest.Eventually(t, func() string {
		if got := served(); got != "new" {
			return "the certificate is still " + got
		}
		return ""
	})
	get()
	if strings.Contains(log.String(), "PRIVATE") {
		t.Errorf("the log has the key: %s", log)
	}
}

func TestBadCertificateIsNoStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, _ := keyPair(t, "one")
	_, key := keyPair(t, "two")
	cfg := freePorts(t)
	cfg.TLSCert, cfg.TLSKey = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	err := newServer(cfg).Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("without the files: %v", err)
	}
	for file, data := range map[string][]byte{cfg.TLSCert: cert, cfg.TLSKey: key} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err = newServer(cfg).Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "does not match") || !strings.HasPrefix(err.Error(), "--tls-cert") {
		t.Errorf("with a key of another certificate: %v", err)
	}
	if _, err := os.Stat(cfg.Data); !os.IsNotExist(err) {
		t.Errorf("the data folder was touched: %v", err)
	}
}
