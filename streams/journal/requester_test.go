package journal_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/natstest"
	"belfry/streams/journal"
)

func TestAskIsAnswered(t *testing.T) {
	nc := natstest.Start(t).Connect()
	if _, err := nc.Subscribe("echo", func(m *nats.Msg) { m.Respond(m.Data) }); err != nil {
		t.Fatal(err)
	}
	got, err := journal.Ask(nc, &nats.Msg{Subject: "echo", Data: []byte("hello")})
	if err != nil || string(got.Data) != "hello" {
		t.Errorf("the answer is %v, %v, want hello", got, err)
	}
	if _, err := journal.Ask(nc, &nats.Msg{Subject: "nobody.there"}); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("asking nobody: %v, want no responders", err)
	}
	nc.Close()
	if _, err := journal.Ask(nc, &nats.Msg{Subject: "echo"}); err == nil {
		t.Error("asking on a closed connection was answered")
	}
}

func TestReadAck(t *testing.T) {
	for _, c := range []struct {
		answer string
		seq    uint64
		err    string
		code   jetstream.ErrorCode
	}{
		{`{"stream":"KV_jobs_0","seq":17}`, 17, "", 0},
		{`{"stream":"KV_jobs_0","seq":17,"domain":"hub","duplicate":true}`, 17, "", 0},
		{`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 5"},"stream":"S","seq":0}`, 0, "wrong last sequence", 10071},
		{`{}`, 0, "neither", 0},
		{`no JSON`, 0, "invalid", 0},
		{``, 0, "EOF", 0},
	} {
		seq, err := journal.ReadAck([]byte(c.answer))
		var refused *jetstream.APIError
		code := jetstream.ErrorCode(0)
		if errors.As(err, &refused) {
			code = refused.ErrorCode
		}
		if seq != c.seq || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) || code != c.code {
			t.Errorf("the answer %q reads as %d, %v (code %d), want %d, %q (code %d)", c.answer, seq, err, code, c.seq, c.err, c.code)
		}
	}
}

func FuzzReadAck(f *testing.F) {
	f.Add([]byte(`{"stream":"S","seq":1}`))
	f.Add([]byte(`{"error":{"err_code":10071}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if seq, err := journal.ReadAck(data); (seq == 0) == (err == nil) {
			t.Errorf("%q reads as sequence %d with error %v", data, seq, err)
		}
	})
}
