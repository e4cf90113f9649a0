package contract

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/internal/job"
)

// stringField reads a field that is a string.
func stringField(name string, required bool, s *string) field {
	return field{name, required, func(value jsontext.Value) error { return readString(name, value, s) }}
}

// boolField reads a field that is true or false.
func boolField(name string, b *bool) field {
	return field{name, false, func(value jsontext.Value) error {
		if k := value.Kind(); k != 't' && k != 'f' {
			return typeError(name, value, "a boolean is accepted")
		}
		*b = value.Kind() == 't'
		return nil
	}}
}

func readString(name string, value jsontext.Value, s *string) error {
	if value.Kind() != '"' {
		return typeError(name, value, "a string is accepted")
	}
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return syntaxError(err)
	}
	*s = string(text)
	return nil
}

// readInner reads an object inside a resource's object.
func readInner(name string, value jsontext.Value, fields ...field) error {
	if value.Kind() != '{' {
		return typeError(name, value, "an object is accepted")
	}
	err := readObject(value, fields...)
	if err != nil && !errors.Is(err, job.ErrPolicy) { // such an error has the whole name
		return fmt.Errorf("in %s: %w", name, err)
	}
	return err
}

func readArray(name string, value jsontext.Value, read func(jsontext.Value) error) error {
	if value.Kind() != '[' {
		return typeError(name, value, "an array is accepted")
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(value), jsontext.AllowDuplicateNames(true))
	if _, err := dec.ReadToken(); err != nil {
		return syntaxError(err)
	}
	for dec.PeekKind() != ']' {
		value, err := dec.ReadValue()
		if err != nil {
			return syntaxError(err)
		}
		if err := read(value); err != nil {
			return err
		}
	}
	return nil
}

// In the following functions, name is the field's name in its object, and full is its
// name in [job.PolicyFields].

func intField(name, full string, n *int) field {
	return field{name, false, func(value jsontext.Value) error {
		v, err := readInt(full, value)
		if v > math.MaxInt32 {
			return job.BadPolicy(full, string(value))
		}
		*n = int(v)
		return err
	}}
}

func millisField(name, full string, d *time.Duration) field {
	return field{name, false, func(value jsontext.Value) (err error) {
		*d, err = readMillis(full, value)
		return err
	}}
}

func waitsField(name, full string, waits *[]time.Duration) field {
	return field{name, false, func(value jsontext.Value) error {
		all := []time.Duration{}
		err := readArray(full, value, func(value jsontext.Value) error {
			d, err := readMillis(full, value)
			all = append(all, d)
			return err
		})
		*waits = all
		return err
	}}
}

func wordField(name string, s *string) field {
	return field{name, false, func(value jsontext.Value) error { return readWord(name, value, s) }}
}

// readWord reads a string that is not empty.
func readWord(name string, value jsontext.Value, s *string) error {
	if err := readString(name, value, s); err != nil {
		return err
	}
	if *s == "" {
		return job.BadPolicy(name, "it is empty")
	}
	return nil
}

func readMillis(full string, value jsontext.Value) (time.Duration, error) {
	ms, err := readInt(full, value)
	if ms > math.MaxInt64/int64(time.Millisecond) {
		return 0, job.BadPolicy(full, string(value))
	}
	return time.Duration(ms) * time.Millisecond, err
}

// readInt reads an integer literal above zero.
func readInt(full string, value jsontext.Value) (int64, error) {
	if value.Kind() != '0' {
		return 0, typeError(full, value, "an integer is accepted")
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n <= 0 {
		return 0, job.BadPolicy(full, job.Quote(string(value)))
	}
	return n, nil
}

// readFloat reads a number above zero; if zero is true, it also accepts zero.
func readFloat(full string, value jsontext.Value, zero bool) (float64, error) {
	if value.Kind() != '0' {
		return 0, typeError(full, value, "a number is accepted")
	}
	v, err := strconv.ParseFloat(string(value), 64)
	if err != nil || v < 0 || v == 0 && !zero {
		return 0, job.BadPolicy(full, job.Quote(string(value)))
	}
	return v, nil
}
