package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/command"
	"belfry/internal/fault"
	"belfry/internal/natstest"
	"belfry/streams"
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
		{&streams.Refusal{Fault: fault.StreamMissing}, 78},
		{streams.ErrForeign, 78},
		{streams.ErrPartitions, 78},
	} {
		err := tt.err
		if err != nil {
			err = fmt.Errorf("couldn't start: %w", err)
		}
		if got := command.ExitCode(serveError(err)); got != tt.code {
			t.Errorf("%v: exit code %d, want %d", tt.err, got, tt.code)
		}
	}
}

// A server on which other hands have left what Belfry cannot start on.
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
		}, streams.ErrForeign.Error()},
		"a number of partitions that is none": {func(t *testing.T, js jetstream.JetStream) {
			kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "belfry", Description: "Belfry: of an older version"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := kv.PutString(t.Context(), "partitions", "many"); err != nil {
				t.Fatal(err)
			}
		}, streams.ErrPartitions.Error()},
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
