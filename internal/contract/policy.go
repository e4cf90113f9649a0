package contract

import (
	"bytes"
	"fmt"
	"math"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/internal/job"
)

// policyFields reads a route's delivery settings into r. Their names and accepted
// values are those of [job.PolicyFields], which validates the values. This function
// refuses only values that would look like an absent field once stored as a zero
// value.
func policyFields(r *job.Route) []field {
	p := &r.Policy
	return []field{
		{"retry", false, func(value jsontext.Value) error { return readRetry(value, &p.Retry) }},
		millisField("timeout_ms", "timeout_ms", &p.Timeout),
		wordField("method", &p.Method),
		wordField("content_type", &p.ContentType),
		{"headers", false, func(value jsontext.Value) error { return readHeaders(value, &p.Headers) }},
		{"final_statuses", false, func(value jsontext.Value) error { return readStatuses(value, &p.FinalStatuses) }},
		{"secret", false, func(value jsontext.Value) error {
			r.KeepSecret = false
			if value.Kind() == 'n' {
				return nil
			}
			return readWord("secret", value, &p.Secret)
		}},
		intField("concurrency", "concurrency", &p.Concurrency),
		{"rate_limit", false, func(value jsontext.Value) error { return readRateLimit(value, &p.RateLimit) }},
		millisField("max_lateness_ms", "max_lateness_ms", &p.MaxLateness),
		millisField("ack_wait_ms", "ack_wait_ms", &p.AckWait),
		intField("max_deliver", "max_deliver", &p.MaxDeliver),
		waitsField("backoff_ms", "backoff_ms", &p.BackOff),
		boolField("paused", &p.Paused),
		{"paused_until", false, func(value jsontext.Value) (err error) {
			p.PausedUntil, err = readInt("paused_until", value)
			return err
		}},
	}
}

// readRetry fills in a partial backoff with the defaults.
func readRetry(value jsontext.Value, retry *job.RetryPolicy) error {
	r := job.DefaultRetry()
	backoff := false
	of := func(f field) field {
		read := f.read
		f.read = func(value jsontext.Value) error { backoff = true; return read(value) }
		return f
	}
	err := readInner("retry", value,
		of(intField("max_attempts", "retry.max_attempts", &r.MaxAttempts)),
		of(millisField("min_backoff_ms", "retry.min_backoff_ms", &r.First)),
		of(millisField("max_backoff_ms", "retry.max_backoff_ms", &r.Max)),
		of(field{"multiplier", false, func(value jsontext.Value) (err error) {
			r.Multiplier, err = readFloat("retry.multiplier", value, false)
			return err
		}}),
		of(field{"jitter", false, func(value jsontext.Value) (err error) {
			r.Jitter, err = readFloat("retry.jitter", value, true)
			return err
		}}),
		waitsField("schedule_ms", "retry.schedule_ms", &r.Schedule),
		millisField("max_age_ms", "retry.max_age_ms", &r.MaxAge),
	)
	if r.Schedule != nil && !backoff {
		r = job.RetryPolicy{Schedule: r.Schedule, MaxAge: r.MaxAge}
	}
	*retry = r
	return err
}

func readRateLimit(value jsontext.Value, limit *job.RateLimit) error {
	err := readInner("rate_limit", value,
		field{"per_second", true, func(value jsontext.Value) (err error) {
			limit.PerSecond, err = readFloat("rate_limit.per_second", value, false)
			return err
		}},
		intField("burst", "rate_limit.burst", &limit.Burst),
	)
	if limit.Burst == 0 {
		limit.Burst = int(math.Ceil(min(limit.PerSecond, math.MaxInt32)))
	}
	return err
}

func readHeaders(value jsontext.Value, headers *map[string]string) error {
	if value.Kind() != '{' {
		return typeError("headers", value, "an object of strings is accepted")
	}
	*headers = map[string]string{}
	dec := jsontext.NewDecoder(bytes.NewBuffer(value), jsontext.AllowDuplicateNames(true))
	if _, err := dec.ReadToken(); err != nil {
		return syntaxError(err)
	}
	for dec.PeekKind() != '}' {
		token, err := dec.ReadToken()
		if err != nil {
			return syntaxError(err)
		}
		name := job.CanonicalHeader(token.String())
		if _, twice := (*headers)[name]; twice {
			return fmt.Errorf("%w: %s of headers; each name is accepted once, however it is written", job.ErrDuplicateField, job.Quote(name))
		}
		value, err := dec.ReadValue()
		if err != nil {
			return syntaxError(err)
		}
		var text string
		if err := readString("each value of headers", value, &text); err != nil {
			return err
		}
		(*headers)[name] = text
	}
	return nil
}

// readStatuses reads numbers, and classes such as "4xx".
func readStatuses(value jsontext.Value, statuses *[]job.StatusRange) error {
	all := []job.StatusRange{}
	err := readArray("final_statuses", value, func(value jsontext.Value) error {
		if value.Kind() == '"' {
			var class string
			if err := readString("final_statuses", value, &class); err != nil {
				return err
			}
			first := map[string]int{"3xx": 300, "4xx": 400, "5xx": 500}[class]
			if first == 0 {
				return job.BadPolicy("final_statuses", job.Quote(class)+" is in it")
			}
			all = append(all, job.StatusRange{First: first, Last: first + 99})
			return nil
		}
		n, err := readInt("final_statuses", value)
		if n > math.MaxInt32 {
			return job.BadPolicy("final_statuses", fmt.Sprintf("%d is in it", n))
		}
		all = append(all, job.StatusRange{First: int(n), Last: int(n)})
		return err
	})
	*statuses = all
	return err
}

// oldSecretsField exists in stored routes only.
func oldSecretsField(p *job.Policy) field {
	return field{"old_secrets", false, func(value jsontext.Value) error {
		return readArray("old_secrets", value, func(value jsontext.Value) error {
			var old job.OldSecret
			err := readInner("old_secrets", value,
				stringField("secret", true, &old.Secret),
				field{"until", true, func(value jsontext.Value) (err error) {
					old.Until, err = readInt("old_secrets", value)
					return err
				}},
			)
			p.OldSecrets = append(p.OldSecrets, old)
			return err
		})
	}}
}
