package delivery

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"belfry/internal/job"
)

// sign returns the signatures of a try made at now, one for each secret, separated by
// spaces as Standard Webhooks 1.0.0 requires. A receiver accepts any of them, so
// secrets can be changed without a gap.
func sign(secrets []string, f job.Fire, now time.Time) (string, error) {
	var all []string
	for _, secret := range secrets {
		one, err := signWith(secret, f, now)
		if err != nil {
			return "", err
		}
		all = append(all, one)
	}
	return strings.Join(all, " "), nil
}

func signWith(secret string, f job.Fire, now time.Time) (string, error) {
	if !strings.HasPrefix(secret, job.PrivatePrefix) {
		wh, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return "", err
		}
		return wh.Sign(f.FireID, now, f.Meta)
	}
	// The library knows v1 only.
	key, err := job.PrivateKey(secret)
	if err != nil {
		return "", err
	}
	signed := fmt.Appendf(nil, "%s.%d.%s", f.FireID, now.Unix(), f.Meta)
	return "v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(key, signed)), nil
}
