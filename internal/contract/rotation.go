package contract

import (
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/internal/job"
)

// ParseRotation reads the body of a request for a new secret: an object with the
// secret, which is empty if Belfry should generate one, and grace_ms, how long the
// old secret keeps signing. Both fields may be left out, and so may the object.
func ParseRotation(body []byte) (secret string, grace time.Duration, err error) {
	grace = job.DefaultGrace
	if blank(body) {
		return "", grace, nil
	}
	err = readObject(body,
		wordField("secret", &secret),
		field{"grace_ms", false, func(value jsontext.Value) error {
			if value.Kind() != '0' {
				return typeError("grace_ms", value, "an integer is accepted")
			}
			ms, err := strconv.ParseInt(string(value), 10, 64)
			if err != nil || ms < 0 || ms > job.MaxGrace.Milliseconds() {
				return fmt.Errorf("%w: grace_ms: %s; accepted: 0 to %d", job.ErrPolicy, job.Quote(string(value)), job.MaxGrace.Milliseconds())
			}
			grace = time.Duration(ms) * time.Millisecond
			return nil
		}},
	)
	if err == nil && secret != "" {
		err = job.CheckSecret(secret)
	}
	return secret, grace, err
}

// AppendRotation appends the answer to a rotation: the new secret, which is not shown
// again; the public_key of an ed25519 key; and, if an earlier secret still signs,
// old_secrets_until, the end of that in unix milliseconds.
func AppendRotation(dst []byte, r job.Route) []byte {
	dst = AppendString(append(dst, `{"status":"ok","secret":`...), r.Secret)
	dst = appendPublicKey(dst, r.Secret)
	var until int64
	for _, old := range r.OldSecrets {
		until = max(until, old.Until)
	}
	return append(AppendInt(dst, "old_secrets_until", until), '}')
}
