package job_test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"belfry/internal/job"
)

// A number is a policy field that holds a number, or a list of numbers.
type number struct {
	def  float64 // 0 means none
	step float64 // between an accepted value and a refused one
	set  func(*job.Policy, float64)
}

func whole(def int, at func(*job.Policy) *int) number {
	return number{float64(def), 1, func(p *job.Policy, v float64) { *at(p) = int(v) }}
}

func fraction(def float64, at func(*job.Policy) *float64) number {
	return number{def, 0.0005, func(p *job.Policy, v float64) { *at(p) = v }}
}

func millis(def time.Duration, at func(*job.Policy) *time.Duration) number {
	return number{float64(def.Milliseconds()), 1, func(p *job.Policy, v float64) { *at(p) = time.Duration(v) * time.Millisecond }}
}

func waits(at func(*job.Policy) *[]time.Duration) number {
	return number{0, 1, func(p *job.Policy, v float64) { *at(p) = []time.Duration{time.Duration(v) * time.Millisecond} }}
}

func numbers() map[string]number {
	retry := job.DefaultRetry()
	return map[string]number{
		"retry.max_attempts":    whole(retry.MaxAttempts, func(p *job.Policy) *int { return &p.Retry.MaxAttempts }),
		"retry.min_backoff_ms":  millis(retry.First, func(p *job.Policy) *time.Duration { return &p.Retry.First }),
		"retry.max_backoff_ms":  millis(retry.Max, func(p *job.Policy) *time.Duration { return &p.Retry.Max }),
		"retry.multiplier":      fraction(retry.Multiplier, func(p *job.Policy) *float64 { return &p.Retry.Multiplier }),
		"retry.jitter":          fraction(retry.Jitter, func(p *job.Policy) *float64 { return &p.Retry.Jitter }),
		"retry.schedule_ms":     waits(func(p *job.Policy) *[]time.Duration { return &p.Retry.Schedule }),
		"retry.max_age_ms":      millis(0, func(p *job.Policy) *time.Duration { return &p.Retry.MaxAge }),
		"timeout_ms":            millis(job.DefaultTimeout, func(p *job.Policy) *time.Duration { return &p.Timeout }),
		"concurrency":           whole(job.DefaultConcurrency, func(p *job.Policy) *int { return &p.Concurrency }),
		"rate_limit.per_second": fraction(0, func(p *job.Policy) *float64 { return &p.RateLimit.PerSecond }),
		"rate_limit.burst":      whole(0, func(p *job.Policy) *int { return &p.RateLimit.Burst }),
		"max_lateness_ms":       millis(0, func(p *job.Policy) *time.Duration { return &p.MaxLateness }),
		"ack_wait_ms":           millis(job.DefaultAckWait, func(p *job.Policy) *time.Duration { return &p.AckWait }),
		"max_deliver":           whole(job.DefaultMaxDeliver, func(p *job.Policy) *int { return &p.MaxDeliver }),
		"backoff_ms":            waits(func(p *job.Policy) *[]time.Duration { return &p.BackOff }),
	}
}

// The documented defaults are the ones that apply.
func TestDefaultsOfPolicyFields(t *testing.T) {
	t.Parallel()
	all := numbers()
	for _, f := range job.PolicyFields() {
		def, _ := strconv.ParseFloat(f.Default, 64) // 0 if there is none, or it is not a number
		if def != all[f.Name].def {
			t.Errorf("%s says that its default is %q, and it is %v", f.Name, f.Default, all[f.Name].def)
		}
	}
}

// The documented bounds are the ones that are checked.
func TestBoundsOfPolicyFields(t *testing.T) {
	t.Parallel()
	bounds := regexp.MustCompile("([0-9.]+|`min_backoff_ms`) to ([0-9]+)(?:,|$)")
	all := numbers()
	for _, f := range job.PolicyFields() {
		n, known := all[f.Name]
		says := bounds.FindStringSubmatch(f.Accepts)
		if known != (says != nil) {
			t.Errorf("%s accepts %q, and this test knows it as a number: %t", f.Name, f.Accepts, known)
		}
		if !known || says == nil {
			continue
		}
		accepted := func(v float64) bool {
			route := restRoute(job.Policy{RateLimit: job.RateLimit{PerSecond: 1, Burst: 1}})
			if strings.HasPrefix(f.Name, "retry.") && f.Name != "retry.schedule_ms" {
				route.Retry = job.DefaultRetry()
				route.Retry.Max = 30 * 24 * time.Hour // so that min_backoff_ms may be anything
			}
			if !slices.Contains(f.For, job.REST) {
				route = natsRoute(job.Policy{})
			}
			n.set(&route.Policy, v)
			return route.Check() == nil
		}
		least, err := strconv.ParseFloat(says[1], 64)
		if err != nil {
			least = float64(job.DefaultRetry().First.Milliseconds())
		}
		most, _ := strconv.ParseFloat(says[2], 64) // digits
		below, above := least-n.step, most+n.step
		if below == 0 {
			below = -n.step // 0 means that the field is not given
		}
		for _, v := range []float64{least, most} {
			if !accepted(v) {
				t.Errorf("%s accepts %q, and %v is refused", f.Name, f.Accepts, v)
			}
		}
		for _, v := range []float64{below, above} {
			if accepted(v) {
				t.Errorf("%s accepts %q, and %v is accepted", f.Name, f.Accepts, v)
			}
		}
	}
}
