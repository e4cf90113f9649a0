package contract

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/internal/job"
)

// AppendAttempts appends the answer to a GET of a job's attempts: an object whose
// field attempts lists each as [AppendAttempt] writes it.
func AppendAttempts(dst []byte, all []job.Attempt) []byte {
	dst = append(dst, `{"attempts":[`...)
	for i, a := range all {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendAttempt(dst, a)
	}
	return append(dst, `]}`...)
}

// AppendAttempt appends one try, in the form that is also stored. Its fields are
// attempt (the try's number), webhook_id, started_time in unix milliseconds,
// duration_ms and lateness_ms to the microsecond, status and response (the beginning
// of the body) if there was an answer, and error if the try failed. Bytes of the
// response that are not UTF-8 become U+FFFD. [ParseAttempt] reads it back.
func AppendAttempt(dst []byte, a job.Attempt) []byte {
	dst = strconv.AppendInt(append(dst, `{"attempt":`...), int64(a.Number), 10)
	dst = AppendString(append(dst, `,"webhook_id":`...), a.FireID)
	dst = strconv.AppendInt(append(dst, `,"started_time":`...), a.Started.UnixMilli(), 10)
	dst = appendFraction(append(dst, `,"duration_ms":`...), a.Duration)
	dst = appendFraction(append(dst, `,"lateness_ms":`...), a.Lateness)
	dst = AppendInt(dst, "status", int64(a.Status))
	dst = AppendWord(dst, "error", a.Error)
	return append(AppendWord(dst, "response", string(a.Response)), '}')
}

// appendFraction appends a duration in milliseconds, to the microsecond.
func appendFraction(dst []byte, d time.Duration) []byte {
	return strconv.AppendFloat(dst, float64(d.Microseconds())/1000, 'f', -1, 64)
}

// ParseAttempt reads what [AppendAttempt] wrote.
func ParseAttempt(data []byte) (job.Attempt, error) {
	var a job.Attempt
	var started int64
	var response string
	err := readObject(data,
		storedInt("attempt", &a.Number),
		stringField("webhook_id", true, &a.FireID),
		storedInt("started_time", &started),
		storedMillis("duration_ms", &a.Duration),
		storedMillis("lateness_ms", &a.Lateness),
		optional(storedInt("status", &a.Status)),
		stringField("error", false, &a.Error),
		stringField("response", false, &response),
	)
	if err != nil {
		return job.Attempt{}, err
	}
	a.Started = time.UnixMilli(started)
	if response != "" {
		a.Response = []byte(response)
	}
	return a, nil
}

func optional(f field) field {
	f.required = false
	return f
}

func storedInt[T int | int64](name string, n *T) field {
	return field{name, true, func(value jsontext.Value) error {
		v, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			return fmt.Errorf("%w: %s is no whole number", job.ErrFieldType, name)
		}
		*n = T(v)
		return nil
	}}
}

func storedMillis(name string, d *time.Duration) field {
	return field{name, true, func(value jsontext.Value) error {
		v, err := strconv.ParseFloat(string(value), 64)
		if err != nil {
			return fmt.Errorf("%w: %s is no number", job.ErrFieldType, name)
		}
		*d = time.Duration(math.Round(v*1000)) * time.Microsecond
		return nil
	}}
}
