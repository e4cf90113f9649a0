package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/command"
	"belfry/internal/fault"
	"belfry/internal/natstest"
	"belfry/streams/manifest"
	"belfry/streams/setup"
)

// Errors that the same start makes again tell a service manager to leave it at that.
func TestServeExitCodes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		code int
	}{
		{nil, 0},
		{errors.New("the listener is taken"), 75},
		{errStuck, 75},
		{mistake{errors.New("no such flag")}, 78},
		{errFolderLost, 78},
		{&setup.Refusal{Fault: fault.StreamMissing}, 78},
		{setup.ErrForeign, 78},
		{setup.ErrPartitions, 78},
		{manifest.ErrBad, 78},
		{errLimit, 75},
		{errDataInUse, 75},
		{&fs.PathError{Op: "mkdir", Path: "data", Err: syscall.EACCES}, 78},
		{&fs.PathError{Op: "mkdir", Path: "data", Err: syscall.EROFS}, 78},
		{&fs.PathError{Op: "mkdir", Path: "data", Err: syscall.ENOSPC}, 75},
		{errors.Join(unreadable(&fs.PathError{Op: "open", Path: "1.blk", Err: syscall.EMFILE}), fs.ErrPermission), 75},
		{unreadable(&fs.PathError{Op: "open", Path: "1.blk", Err: syscall.EACCES}), 78},
		{&setup.Refusal{Fault: fault.StreamUnrecovered, Reason: "open 1.blk: too many open files"}, 75},
		{&net.OpError{Op: "listen", Err: syscall.EADDRINUSE}, 75},
		{&net.OpError{Op: "listen", Err: syscall.EACCES}, 78},
		{x509.UnknownAuthorityError{}, 78},
		{nats.ErrAuthorization, 75}, // its user may be made yet
		{&jetstream.APIError{Code: 400, ErrorCode: 10026, Description: "maximum number of streams reached"}, 78},
		{&jetstream.APIError{Code: 503, ErrorCode: 10039, Description: "JetStream not enabled for account"}, 75},
		{nats.ErrTimeout, 75},
		{mistake{&fs.PathError{Op: "open", Path: "tls.crt", Err: syscall.EMFILE}}, 75},
		{mistake{errors.New("--nats-config: error parsing include file 'more.conf', open more.conf: too many open files")}, 75},
		{mistake{&net.DNSError{Err: "server misbehaving", Name: "belfry.example", IsTemporary: true}}, 75},
		{mistake{&net.DNSError{Err: "i/o timeout", Name: "belfry.example", IsTimeout: true}}, 75},
		{mistake{&net.DNSError{Err: "no such host", Name: "belfry.example", IsNotFound: true}}, 78},
		{endedBy(errStuck, &fs.PathError{Op: "open", Path: "manifest.json", Err: fs.ErrNotExist}), 75},
		{endedBy(mistake{errors.New("no such flag")}, syscall.EMFILE), 78},
		{endedBy(errFolderLost, nats.ErrTimeout), 78},
	} {
		if tt.code == 0 && isOfWant(tt.err) {
			t.Error("nothing failed, and it is of want")
		}
		err := tt.err
		if err != nil {
			err = fmt.Errorf("couldn't start: %w", err)
		}
		if got := command.ExitCode(serveError(err)); got != tt.code {
			t.Errorf("%v: exit code %d, want %d", tt.err, got, tt.code)
		}
	}
}

// These are servers on which other hands have left what Belfry cannot start on.
func TestExitOnWhatOthersLeft(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		leave func(t *testing.T, js jetstream.JetStream)
		words string
	}{
		"a stream in Belfry's place": {func(t *testing.T, js jetstream.JetStream) {
			if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "FIRES", Subjects: []string{"theirs"}}); err != nil {
				t.Fatal(err)
			}
		}, setup.ErrForeign.Error()},
		"a number of partitions that is none": {func(t *testing.T, js jetstream.JetStream) {
			kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "belfry", Description: "Belfry: of an older version"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := kv.PutString(t.Context(), "partitions", "many"); err != nil {
				t.Fatal(err)
			}
		}, setup.ErrPartitions.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := natstest.Start(t)
			js, err := jetstream.New(server.Connect())
			if err != nil {
				t.Fatal(err)
			}
			tt.leave(t, js)
			out, err := program(t, nil, "serve", "--listen", "127.0.0.1:0", "--nats-url", server.ClientURL()).CombinedOutput()
			if exitCode(err) != 78 || !strings.Contains(string(out), tt.words) {
				t.Errorf("exit code %d, want 78 and %q:\n%s", exitCode(err), tt.words, out)
			}
		})
	}
}

// The exit codes of the service tell a service manager whether to start it again.
func TestExitCodesOfTheService(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	ns := natstest.StartWith(t, &server.Options{Username: "u", Password: "p"})
	for _, tc := range []struct {
		name string
		args []string
		want int
	}{
		{"no data", []string{"--existing-data", "--data", missing, "--nats-listen", ":-1"}, 78},
		{"a file in the place of the data", []string{"--data", os.Args[0], "--nats-listen", ":-1"}, 78},
		{"no place for the data", []string{"--data", "/proc/belfry", "--nats-listen", ":-1"}, 78},
		{"the port is taken", []string{"--listen", taken.Addr().String(), "--data", filepath.Join(t.TempDir(), "data"), "--nats-listen", ":-1"}, 75},
		{"no file with credentials", []string{"--nats-url", ns.ClientURL(), "--creds", missing}, 78},
		{"no file with authorities", []string{"--nats-url", ns.ClientURL(), "--tlsca", missing}, 78},
		{"no such context", []string{"--context", "none"}, 78},
		{"a password that is not accepted yet", []string{"--nats-url", strings.Replace(ns.ClientURL(), "://", "://u:wrong@", 1)}, 75},
		{"no file with a token", []string{"--admin-token-file", missing}, 78},
		{"no NATS configuration", []string{"--nats-config", missing}, 78},
		{"no such flag", []string{"--no-such-flag"}, 78},
		{"not accepted", []string{"--listen", ":0"}, 78},
	} {
		args := append([]string{"serve", "--listen", "127.0.0.1:0"}, tc.args...)
		out, err := program(t, []string{"HOME=" + t.TempDir()}, args...).CombinedOutput()
		if exitCode(err) != tc.want {
			t.Errorf("%s: exit code %d, want %d:\n%s", tc.name, exitCode(err), tc.want, out)
		}
	}
	if err := serveError(fmt.Errorf("x: %w", errFolderLost)); !errors.Is(err, errFolderLost) {
		t.Errorf("the error is lost: %v", err)
	}
}
