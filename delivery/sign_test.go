package delivery_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"belfry/delivery"
	"belfry/internal/job"
)

// signed is a request as it came.
type signed struct {
	header http.Header
	body   []byte
}

// newSigned returns a receiver of requests, and its URL.
func newSigned(t *testing.T) (<-chan signed, string) {
	got := make(chan signed, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- signed{r.Header, body}
	}))
	t.Cleanup(srv.Close)
	return got, srv.URL
}

func secretOf(c string) string { return job.EncodeSecret([]byte(strings.Repeat(c, 32))) }

// The official library accepts a request that a route's secret has signed, and rejects
// one that was changed on the way.
func TestSignature(t *testing.T) {
	t.Parallel()
	got, url := newSigned(t)
	s := newStore(t)
	s.run(delivery.Config{})
	s.fire(s.addPolicy("r", url, job.Policy{Secret: secretOf("a")}), func(h *job.Handover) { h.Meta = []byte(" {\"ü\": 1.0}\n") })
	r := <-got
	wh, err := standardwebhooks.NewWebhook(secretOf("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := wh.Verify(r.body, r.header); err != nil {
		t.Errorf("%q with %v is refused: %v", r.body, r.header, err)
	}
	if err := wh.Verify(append([]byte{' '}, r.body...), r.header); err == nil {
		t.Error("a changed body is accepted")
	}
	for _, name := range []string{job.HeaderID, job.HeaderTimestamp, job.HeaderSignature} {
		changed := r.header.Clone()
		changed.Set(name, strings.Replace(changed.Get(name), "1", "2", 1)+"0")
		if err := wh.Verify(r.body, changed); err == nil {
			t.Errorf("a changed %s is accepted", name)
		}
	}
	other, err := standardwebhooks.NewWebhook(secretOf("b"))
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Verify(r.body, r.header); err == nil {
		t.Error("another secret accepts it")
	}
}

func TestUnsigned(t *testing.T) {
	t.Parallel()
	got, url := newSigned(t)
	s := newStore(t)
	s.run(delivery.Config{})
	s.fire(s.addRoute("r", url))
	if r := <-got; r.header.Values(job.HeaderSignature) != nil {
		t.Errorf("a route without a secret sends %q", r.header.Values(job.HeaderSignature))
	}
}

// During a rotation both secrets sign, also when the new one is an ed25519 key,
// until the old one's time is over.
func TestSignaturesDuringRotation(t *testing.T) {
	t.Parallel()
	seed := []byte(strings.Repeat("k", ed25519.SeedSize))
	private := job.PrivatePrefix + base64.StdEncoding.EncodeToString(ed25519.NewKeyFromSeed(seed))
	public, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(job.PublicKey(private), job.PublicPrefix))
	if err != nil {
		t.Fatal(err)
	}
	hmacOf := func(secret string) func(signed) bool {
		return func(r signed) bool {
			wh, err := standardwebhooks.NewWebhook(secret)
			return err == nil && wh.Verify(r.body, r.header) == nil
		}
	}
	ed25519Of := func(r signed) bool {
		text := fmt.Sprintf("%s.%s.%s", r.header.Get(job.HeaderID), r.header.Get(job.HeaderTimestamp), r.body)
		for one := range strings.SplitSeq(r.header.Get(job.HeaderSignature), " ") {
			sig, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(one, "v1a,"))
			if strings.HasPrefix(one, "v1a,") && err == nil && ed25519.Verify(public, []byte(text), sig) {
				return true
			}
		}
		return false
	}

	got, url := newSigned(t)
	s := newStore(t)
	s.run(delivery.Config{})
	soon, past := time.Now().Add(time.Hour).UnixMilli(), time.Now().Add(-time.Millisecond).UnixMilli()
	for _, tt := range []struct {
		name   string
		policy job.Policy
		want   [3]bool // a, b and the key verify
	}{
		{"a", job.Policy{Secret: secretOf("a")}, [3]bool{true, false, false}},
		{"a to b", job.Policy{Secret: secretOf("b"), OldSecrets: []job.OldSecret{{Secret: secretOf("a"), Until: soon}}}, [3]bool{true, true, false}},
		{"b to the key", job.Policy{Secret: private, OldSecrets: []job.OldSecret{{Secret: secretOf("b"), Until: soon}, {Secret: secretOf("a"), Until: past}}},
			[3]bool{false, true, true}},
		{"the key", job.Policy{Secret: private}, [3]bool{false, false, true}},
	} {
		s.fire(s.addPolicy("r", url, tt.policy))
		r := <-got
		if has := [3]bool{hmacOf(secretOf("a"))(r), hmacOf(secretOf("b"))(r), ed25519Of(r)}; has != tt.want {
			t.Errorf("%s: verified by a, b and the key: got %v, want %v of %q", tt.name, has, tt.want, r.header.Get(job.HeaderSignature))
		}
	}
}
