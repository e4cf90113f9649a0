package contract

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"belfry/internal/job"
)

// appendPolicy appends the fields that are set, each after a comma. show returns what
// to write in place of a secret.
func appendPolicy(dst []byte, p job.Policy, show func(string) string) []byte {
	if !p.Retry.IsZero() {
		dst = appendRetry(append(dst, `,"retry":`...), p.Retry)
	}
	dst = appendMillis(dst, "timeout_ms", p.Timeout)
	dst = AppendWord(dst, "method", p.Method)
	dst = AppendWord(dst, "content_type", p.ContentType)
	if len(p.Headers) > 0 {
		dst = append(dst, `,"headers":`...)
		for i, name := range slices.Sorted(maps.Keys(p.Headers)) {
			dst = append(AppendString(append(dst, comma('{', i)), name), ':')
			dst = AppendString(dst, show(p.Headers[name]))
		}
		dst = append(dst, '}')
	}
	if p.FinalStatuses != nil {
		dst = append(dst, `,"final_statuses":[`...)
		for i, r := range p.FinalStatuses {
			if i > 0 {
				dst = append(dst, ',')
			}
			if r.First == r.Last {
				dst = strconv.AppendInt(dst, int64(r.First), 10)
			} else {
				dst = AppendString(dst, strconv.Itoa(r.First/100)+"xx")
			}
		}
		dst = append(dst, ']')
	}
	if p.Secret != "" {
		dst = AppendWord(dst, "secret", show(p.Secret))
	}
	dst = AppendInt(dst, "concurrency", int64(p.Concurrency))
	if p.RateLimit != (job.RateLimit{}) {
		dst = appendFloat(append(dst, `,"rate_limit":{"per_second":`...), p.RateLimit.PerSecond)
		dst = append(AppendInt(dst, "burst", int64(p.RateLimit.Burst)), '}')
	}
	dst = appendMillis(dst, "max_lateness_ms", p.MaxLateness)
	dst = appendMillis(dst, "ack_wait_ms", p.AckWait)
	dst = AppendInt(dst, "max_deliver", int64(p.MaxDeliver))
	dst = appendWaits(dst, `,"backoff_ms":`, p.BackOff)
	if p.Paused {
		dst = append(dst, `,"paused":true`...)
	}
	return AppendInt(dst, "paused_until", p.PausedUntil)
}

func appendRetry(dst []byte, r job.RetryPolicy) []byte {
	if len(r.Schedule) > 0 {
		dst = appendWaits(dst, `{"schedule_ms":`, r.Schedule)
	} else {
		dst = strconv.AppendInt(append(dst, `{"max_attempts":`...), int64(r.MaxAttempts), 10)
		dst = appendMillis(dst, "min_backoff_ms", r.First)
		dst = appendMillis(dst, "max_backoff_ms", r.Max)
		dst = appendFloat(append(dst, `,"multiplier":`...), r.Multiplier)
		dst = appendFloat(append(dst, `,"jitter":`...), r.Jitter)
	}
	return append(appendMillis(dst, "max_age_ms", r.MaxAge), '}')
}

func appendOldSecrets(dst []byte, old []job.OldSecret) []byte {
	if len(old) == 0 {
		return dst
	}
	dst = append(dst, `,"old_secrets":`...)
	for i, o := range old {
		dst = AppendString(append(append(dst, comma('[', i)), `{"secret":`...), o.Secret)
		dst = append(AppendInt(dst, "until", o.Until), '}')
	}
	return append(dst, ']')
}

func appendPublicKey(dst []byte, secret string) []byte {
	return AppendWord(dst, "public_key", job.PublicKey(secret))
}

func appendMillis(dst []byte, name string, d time.Duration) []byte {
	return AppendInt(dst, name, d.Milliseconds())
}

func appendFloat(dst []byte, v float64) []byte { return strconv.AppendFloat(dst, v, 'f', -1, 64) }

func appendWaits(dst []byte, before string, waits []time.Duration) []byte {
	if len(waits) == 0 {
		return dst
	}
	dst = append(dst, before...)
	for i, d := range waits {
		dst = strconv.AppendInt(append(dst, comma('[', i)), d.Milliseconds(), 10)
	}
	return append(dst, ']')
}
