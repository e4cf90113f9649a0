package job_test

import (
	"errors"
	"strings"
	"testing"

	"belfry/internal/job"
)

func TestCheckSecret(t *testing.T) {
	t.Parallel()
	random := func(n int) string { return job.EncodeSecret(make([]byte, n)) }
	private := func(n int) string { return strings.Replace(random(n), job.SymmetricPrefix, job.PrivatePrefix, 1) }
	for _, tt := range []struct {
		secret, says string
	}{
		{random(24), ""}, {random(64), ""}, {private(32), ""},
		{random(23), "23 bytes"}, {random(65), "65 bytes"}, {private(31), "31 bytes"},
		{private(64), "do not belong together"},
		{"whsec_", "0 bytes"}, {"whsk_", "0 bytes"}, {"", "neither prefix"}, {"WHSEC_" + random(24)[6:], "neither prefix"},
		{random(24) + "\n", "not base64"}, {strings.TrimRight(random(25), "="), "not base64"}, {"whpk_" + random(32)[6:], "neither prefix"},
	} {
		err := job.CheckSecret(tt.secret)
		if tt.says == "" && err != nil || tt.says != "" && (!errors.Is(err, job.ErrPolicy) || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("CheckSecret(%q) = %v, want %q", tt.secret, err, tt.says)
		}
	}
}

// Every accepted private key has a public key.
func FuzzCheckSecret(f *testing.F) {
	f.Add(job.EncodeSecret(make([]byte, 24)))
	f.Add(job.PrivatePrefix + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	f.Add("whpk_")
	f.Fuzz(func(t *testing.T, secret string) {
		private := strings.HasPrefix(secret, job.PrivatePrefix)
		if err := job.CheckSecret(secret); (err == nil && private) != (job.PublicKey(secret) != "") {
			t.Errorf("CheckSecret(%q) = %v, and its public key is %q", secret, err, job.PublicKey(secret))
		}
	})
}
