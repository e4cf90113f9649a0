package job

import (
	"fmt"
	"time"
)

// maxOldSecrets bounds how many secrets sign beside the newest one, and so the length
// of a header.
const maxOldSecrets = 4

// DefaultGrace is how long a secret still signs after it was rotated out. MaxGrace is
// the longest grace that a request can ask for.
const (
	DefaultGrace = 24 * time.Hour
	MaxGrace     = 30 * 24 * time.Hour
)

// Rotate returns the route with a new secret. The previous one keeps signing beside
// the new one during the grace. Without a grace all earlier secrets end at once.
// Rotating to the secret that the route already has changes nothing else.
func (r Route) Rotate(secret string, grace time.Duration, now time.Time) (Route, error) {
	if r.Type != REST {
		return Route{}, badPolicy("secret", "the route is of type NATS, which signs nothing", "a route of type REST")
	}
	if err := CheckSecret(secret); err != nil {
		return Route{}, err
	}
	if secret == r.Secret {
		if grace == 0 {
			r.OldSecrets = nil
		}
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

// Over returns a request's route as it should be stored over the existing route, or
// over the zero Route if there is none. It keeps stored values where the request has
// [Hidden]. It keeps the stored secret if the request does not mention one.
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
