package job

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Hidden is what the API shows instead of a stored secret. A change of the
// route that has it in that place keeps what is stored.
const Hidden = "********"

// The forms of secrets and keys, as in Standard Webhooks 1.0.0: base64 with a
// prefix.
const (
	// SymmetricPrefix begins a shared secret of 24 to 64 random bytes, which
	// signs with HMAC-SHA256 (v1).
	SymmetricPrefix = "whsec_"
	// PrivatePrefix begins a private ed25519 key, which signs as v1a: its 64
	// bytes, or the 32 of its seed alone.
	PrivatePrefix = "whsk_"
	// PublicPrefix begins the public key of one, for receivers.
	PublicPrefix = "whpk_"
)

// What a shared secret may have, in bytes.
const (
	minSecretBytes = 24
	maxSecretBytes = 64
)

// maxOldSecrets bounds how many secrets sign beside the newest, and so the
// length of a header.
const maxOldSecrets = 4

// DefaultGrace is how long a secret that was rotated out still signs; MaxGrace
// is the longest that can be asked for.
const (
	DefaultGrace = 24 * time.Hour
	MaxGrace     = 30 * 24 * time.Hour
)

const secretAccepts = `"whsec_" and the base64 of 24 to 64 bytes, or "whsk_" and that of an ed25519 private key`

// CheckSecret accepts a secret in one of the two forms. The error is an
// [ErrPolicy] and quotes nothing of it.
func CheckSecret(secret string) error {
	if strings.HasPrefix(secret, PrivatePrefix) {
		_, err := PrivateKey(secret)
		return err
	}
	text, ok := strings.CutPrefix(secret, SymmetricPrefix)
	if !ok {
		return badPolicy("secret", "it has neither prefix", secretAccepts)
	}
	key, err := decodeKey(text)
	if err != nil {
		return err
	}
	if len(key) < minSecretBytes || len(key) > maxSecretBytes {
		return badPolicy("secret", fmt.Sprintf("it has %d bytes", len(key)), secretAccepts)
	}
	return nil
}

// PrivateKey returns the ed25519 key of a secret that begins with
// [PrivatePrefix].
func PrivateKey(secret string) (ed25519.PrivateKey, error) {
	key, err := decodeKey(strings.TrimPrefix(secret, PrivatePrefix))
	switch {
	case err != nil:
		return nil, err
	case len(key) == ed25519.SeedSize:
		return ed25519.NewKeyFromSeed(key), nil
	case len(key) != ed25519.PrivateKeySize:
		return nil, badPolicy("secret", fmt.Sprintf("its key has %d bytes", len(key)), secretAccepts)
	}
	if whole := ed25519.NewKeyFromSeed(key[:ed25519.SeedSize]); !slices.Equal(whole, key) {
		return nil, badPolicy("secret", "the halves of its key do not belong together", secretAccepts)
	}
	return ed25519.PrivateKey(key), nil
}

func decodeKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // which the decoder skips
		return nil, badPolicy("secret", "what follows its prefix is not base64", secretAccepts)
	}
	return key, nil
}

// PublicKey returns, in the form that receivers use, the key that verifies
// what the secret signs; empty for a shared secret, or none.
func PublicKey(secret string) string {
	if !strings.HasPrefix(secret, PrivatePrefix) {
		return ""
	}
	key, err := PrivateKey(secret)
	if err != nil {
		return ""
	}
	return PublicPrefix + base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
}

// EncodeSecret writes random bytes as a shared secret.
func EncodeSecret(random []byte) string {
	return SymmetricPrefix + base64.StdEncoding.EncodeToString(random)
}

// Rotate returns the route with a new secret. The one it had goes on signing
// for the grace, beside the new one; without a grace all earlier ones end.
// Rotating to the secret that the route has changes nothing.
func (r Route) Rotate(secret string, grace time.Duration, now time.Time) (Route, error) {
	if r.Type != REST {
		return Route{}, badPolicy("secret", "the route is of type NATS, which signs nothing", "a route of type REST")
	}
	if err := CheckSecret(secret); err != nil {
		return Route{}, err
	}
	if secret == r.Secret {
		return r, nil
	}
	var old []OldSecret
	if grace > 0 {
		if r.Secret != "" {
			old = append(old, OldSecret{Secret: r.Secret, Until: now.Add(grace).UnixMilli()})
		}
		for _, o := range r.OldSecrets {
			if now.UnixMilli() < o.Until && o.Secret != secret {
				old = append(old, o)
			}
		}
	}
	if len(old) > maxOldSecrets {
		return Route{}, badPolicy("secret", fmt.Sprintf("%d earlier ones still sign", len(old)-1),
			`up to 4; wait until the grace of one is over, or end all with "grace_ms":0`)
	}
	r.Secret, r.OldSecrets = secret, old
	return r, nil
}

// Over returns the route of a request as it is to be stored over the one that
// is, or over the zero Route if there is none: what is [Hidden] in it is kept,
// and so is the secret if the request does not speak of it.
func (r Route) Over(stored Route) (Route, error) {
	if r.KeepSecret || r.Secret == Hidden {
		if r.Secret == Hidden && stored.Secret == "" {
			return Route{}, badPolicy("secret", "it is the placeholder, and none is stored", secretAccepts)
		}
		r.Secret = stored.Secret
	}
	r.KeepSecret = false
	if r.Secret == stored.Secret {
		r.OldSecrets = stored.OldSecrets
	}
	headers := make(map[string]string, len(r.Headers))
	for name, value := range r.Headers {
		if value == Hidden {
			kept, ok := stored.Headers[name]
			if !ok {
				return Route{}, badPolicy("headers", name+" is the placeholder, and no value of it is stored", headersAccepts)
			}
			value = kept
		}
		headers[name] = value
	}
	if r.Headers != nil {
		r.Headers = headers
	}
	return r, nil
}
