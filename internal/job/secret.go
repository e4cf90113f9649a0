package job

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// Hidden is what the API shows instead of a stored secret. A change of the route that
// has Hidden in that place keeps the stored secret.
const Hidden = "********"

// These are the prefixes of secrets and keys, as in Standard Webhooks 1.0.0. Base64
// follows the prefix.
const (
	// SymmetricPrefix begins a shared secret of 24 to 64 random bytes, which signs
	// with HMAC-SHA256 (v1).
	SymmetricPrefix = "whsec_"
	// PrivatePrefix begins a private ed25519 key, which signs as v1a. It is the key's
	// 64 bytes, or only the 32 bytes of its seed.
	PrivatePrefix = "whsk_"
	// PublicPrefix begins the public key of an ed25519 key, for receivers.
	PublicPrefix = "whpk_"
)

// These are the bounds of a shared secret's length, in bytes.
const (
	minSecretBytes = 24
	maxSecretBytes = 64
)

const secretAccepts = `"whsec_" and the base64 of 24 to 64 bytes, or "whsk_" and that of an ed25519 private key`

// CheckSecret accepts a secret in one of the two forms. The error is an [ErrPolicy]
// and quotes nothing of the secret.
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
	if err != nil || strings.ContainsAny(text, "\r\n") { // the decoder skips these
		return nil, badPolicy("secret", "what follows its prefix is not base64", secretAccepts)
	}
	return key, nil
}

// PublicKey returns the key that verifies what the secret signs, in the form that
// receivers use. It is empty for a shared secret, or for none.
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
