package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A start in the middle of a rotation waits for the other half of it.
func TestStartDuringARotation(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile, tokenFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "token")
	write := func(file string, data []byte) {
		t.Helper()
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, key := keyPair(t, "new")
	_, oldKey := keyPair(t, "old")
	const token = "a token of twenty-three"
	for _, state := range []struct {
		name  string
		begin func()
	}{
		{"nothing is written yet", func() { write(certFile, nil); write(keyFile, nil); write(tokenFile, nil) }},
		{"half of it is written", func() { write(certFile, cert); write(keyFile, oldKey); write(tokenFile, nil) }},
		{"the files are away", func() { os.Remove(certFile); os.Remove(keyFile); os.Remove(tokenFile) }},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := New(Config{TLSCert: certFile, TLSKey: keyFile, AdminTokenFile: tokenFile}, slog.New(slog.DiscardHandler))
			state.begin()
			if _, err := untilWhole(t.Context(), s.certificate); err == nil {
				t.Errorf("%s: the certificate is used", state.name)
			}
			if _, err := untilWhole(t.Context(), s.cfg.adminToken); err == nil {
				t.Errorf("%s: the token is used", state.name)
			}
			go func() {
				time.Sleep(rotationWait / 2)
				write(certFile, cert)
				write(keyFile, key)
				write(tokenFile, []byte(strings.ReplaceAll(token, " ", "-")))
			}()
			if pair, err := untilWhole(t.Context(), s.certificate); err != nil || pair.pair.Load() == nil {
				t.Errorf("%s: the certificate: %v", state.name, err)
			}
			if got, err := untilWhole(t.Context(), s.cfg.adminToken); err != nil || got == "" {
				t.Errorf("%s: the token: %v", state.name, err)
			}
		})
	}
}
