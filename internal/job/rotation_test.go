package job_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/internal/job"
)

func TestRotate(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1667659342626)
	later := func(d time.Duration) int64 { return now.Add(d).UnixMilli() }
	secret := func(c byte) string { return job.EncodeSecret([]byte(strings.Repeat(string(c), 24))) }

	first, err := restRoute(job.Policy{}).Rotate(secretA, time.Hour, now)
	if err != nil || first.Secret != secretA || len(first.OldSecrets) != 0 {
		t.Fatalf("the first secret: %+v, %v; want it, and no old one", first.Policy, err)
	}
	second, err := first.Rotate(secretB, time.Hour, now)
	want := []job.OldSecret{{Secret: secretA, Until: later(time.Hour)}}
	if diff := cmp.Diff(want, second.OldSecrets); err != nil || diff != "" {
		t.Fatalf("the second secret (-want +got): %v\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{secretB, secretA}, second.Secrets(now.Add(time.Hour-time.Millisecond))); diff != "" {
		t.Errorf("secrets within the grace (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{secretB}, second.Secrets(now.Add(time.Hour))); diff != "" {
		t.Errorf("secrets after the grace (-want +got):\n%s", diff)
	}
	if again, err := second.Rotate(secretB, time.Hour, now.Add(time.Minute)); err != nil || !again.SameContent(second) {
		t.Errorf("the same rotation again: %+v, %v; want no change", again.Policy, err)
	}
	if back, err := second.Rotate(secretA, time.Hour, now); err != nil || len(back.OldSecrets) != 1 || back.OldSecrets[0].Secret != secretB {
		t.Errorf("back to the first: %+v, %v; want only the second as an old one", back.Policy, err)
	}
	if leaked, err := second.Rotate(secret('c'), 0, now); err != nil || len(leaked.OldSecrets) != 0 {
		t.Errorf("without a grace: %+v, %v; want no old one", leaked.Policy, err)
	}
	if leaked, err := second.Rotate(secretB, 0, now); err != nil || leaked.Secret != secretB || len(leaked.OldSecrets) != 0 {
		t.Errorf("the same secret without a grace: %+v, %v; want no old one", leaked.Policy, err)
	}
	r := second
	for c := byte('c'); err == nil && c < 'z'; c++ {
		var next job.Route
		if next, err = r.Rotate(secret(c), time.Hour, now); err == nil {
			r = next
		}
	}
	if !errors.Is(err, job.ErrPolicy) || !strings.Contains(err.Error(), "4 earlier ones still sign") || len(r.OldSecrets) != 4 {
		t.Errorf("rotated without end: %v with %d old ones, want ErrPolicy and 4", err, len(r.OldSecrets))
	}
	if r, err = r.Rotate(secret('z'), time.Hour, now.Add(time.Hour)); err != nil || len(r.OldSecrets) != 1 {
		t.Errorf("once their time is over: %v with %d old ones, want 1", err, len(r.OldSecrets))
	}
	if _, err := natsRoute(job.Policy{}).Rotate(secretA, time.Hour, now); !errors.Is(err, job.ErrPolicy) {
		t.Errorf("of a NATS route: %v, want ErrPolicy", err)
	}
}

// A change keeps stored values wherever it has Hidden.
func TestOver(t *testing.T) {
	t.Parallel()
	old := []job.OldSecret{{Secret: secretA, Until: 1}}
	stored := restRoute(job.Policy{Secret: secretB, OldSecrets: old, Headers: map[string]string{"X-A": "a", "X-B": "b"}})
	keep := restRoute(job.Policy{Headers: map[string]string{"X-A": job.Hidden, "X-C": "c"}})
	keep.KeepSecret = true
	sent := maps.Clone(keep.Headers)
	for _, tt := range []struct {
		name   string
		change job.Route
		want   job.Policy
		says   string
	}{
		{"unmentioned", keep, job.Policy{Secret: secretB, OldSecrets: old, Headers: map[string]string{"X-A": "a", "X-C": "c"}}, ""},
		{"placeholder", restRoute(job.Policy{Secret: job.Hidden}), job.Policy{Secret: secretB, OldSecrets: old}, ""},
		{"the same", restRoute(job.Policy{Secret: secretB}), job.Policy{Secret: secretB, OldSecrets: old}, ""},
		{"another", restRoute(job.Policy{Secret: secretA}), job.Policy{Secret: secretA}, ""},
		{"none", restRoute(job.Policy{}), job.Policy{}, ""},
		{"unknown header", restRoute(job.Policy{Headers: map[string]string{"X-C": job.Hidden}}), job.Policy{}, "headers: X-C is the placeholder"},
	} {
		got, err := tt.change.Over(stored)
		if tt.says != "" {
			if !errors.Is(err, job.ErrPolicy) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: got %v, want ErrPolicy with %q", tt.name, err, tt.says)
			}
			continue
		}
		if err != nil || !got.SameContent(restRoute(tt.want)) || got.KeepSecret {
			t.Errorf("%s: got %+v, %v; want %+v", tt.name, got.Policy, err, tt.want)
		}
	}
	if !maps.Equal(keep.Headers, sent) {
		t.Errorf("the change itself was changed: %v, want %v", keep.Headers, sent)
	}
	if _, err := restRoute(job.Policy{Secret: job.Hidden}).Over(restRoute(job.Policy{})); !errors.Is(err, job.ErrPolicy) {
		t.Errorf("the placeholder for no secret: %v, want ErrPolicy", err)
	}
}
