// Package contract reads the JSON bodies and query strings of requests to Belfry's
// API, and writes the JSON of all answers.
//
// Reading is strict. A body is one JSON object in UTF-8 with exactly the fields of
// its request, each at most once; only [Bulk] reads many. Fields that an answer adds
// to tell the state of a resource are accepted and ignored. Every error wraps exactly
// one of the sentinels of package job. It says which field is wrong, what is wrong
// with it, and what is accepted.
//
// A job's meta belongs to the client. It is any JSON value, even one with repeated
// names in its objects, and is kept byte for byte between its first and last
// character. The package refuses a meta only if it has text without a UTF-8 form,
// such as the lone surrogate "\ud800", or is nested deeper than [job.MaxMetaDepth].
//
// The functions are pure and safe for concurrent use. A Bulk is for one goroutine.
package contract

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/internal/job"
)

// A field is one member of a resource's object.
type field struct {
	name     string
	required bool
	read     func(value jsontext.Value) error // nil ignores it
}

// ignored returns fields that are accepted whatever their value, so that an answer
// can be changed and sent back.
func ignored(names ...string) []field {
	var all []field
	for _, name := range names {
		all = append(all, field{name: name})
	}
	return all
}

// readObject reads the one JSON object in body and gives each member to the field
// with its name. The first error ends it.
func readObject(body []byte, fields ...field) error {
	// Repeated names are checked here, among the resource's own fields only: those
	// inside meta are the client's business.
	if bytes.HasPrefix(body, byteOrderMark) {
		return errMark
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true))
	switch begin, err := dec.ReadToken(); {
	case err == io.EOF:
		return fmt.Errorf("%w; a JSON object is accepted", job.ErrEmptyBody)
	case err != nil:
		return syntaxError(err)
	case begin.Kind() != '{':
		return fmt.Errorf("%w: the body is %s; an object is accepted", job.ErrFieldType, kindName(begin.Kind()))
	}

	seen := make([]bool, len(fields))
	for dec.PeekKind() != '}' {
		token, err := dec.ReadToken()
		if err != nil {
			return syntaxError(err)
		}
		name := token.String()
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		if i < 0 {
			return fmt.Errorf("%w: %s; accepted are %s", job.ErrUnknownField, job.Quote(name), names(fields))
		}
		if seen[i] {
			return fmt.Errorf("%w: %s; each field is accepted once", job.ErrDuplicateField, name)
		}
		seen[i] = true
		value, err := dec.ReadValue()
		if err != nil {
			return syntaxError(err)
		}
		if at := int(dec.InputOffset()); len(value) > 0 && value[len(value)-1] == '0' && value.Kind() == '0' && len(value) <= len("-0") &&
			at < len(body) && '0' <= body[at] && body[at] <= '9' {
			return fmt.Errorf("%w: %s is a number that begins with 0, at byte %d, which JSON does not have; it is accepted without", job.ErrSyntax, name, at-1)
		}
		if fields[i].read == nil {
			continue
		}
		if err := fields[i].read(value); err != nil {
			return err
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return syntaxError(err)
	}
	if _, err := dec.ReadToken(); err != io.EOF {
		return fmt.Errorf("%w: something follows the object after byte %d", job.ErrSyntax, dec.InputOffset())
	}

	for i, f := range fields {
		if f.required && !seen[i] {
			return fmt.Errorf("%w: %s; needed are %s", job.ErrMissingField, f.name, names(required(fields)))
		}
	}
	return nil
}

// byteOrderMark is what some editors put before a UTF-8 text. JSON does not allow it.
var byteOrderMark = []byte("\ufeff")

var errMark = fmt.Errorf("%w: it begins with a byte order mark at byte 0; JSON in UTF-8 without one is accepted", job.ErrSyntax)

// blank reports whether a body is empty, for requests whose object may be left out.
func blank(body []byte) bool { return len(bytes.TrimSpace(body)) == 0 }

// syntaxError leaves out where in the object the error is, since the place would
// quote names from inside meta.
func syntaxError(err error) error {
	var at *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it ends too early", job.ErrSyntax)
	case errors.As(err, &at):
		return fmt.Errorf("%w: %v at byte %d", job.ErrSyntax, at.Err, at.ByteOffset)
	}
	return fmt.Errorf("%w: %v", job.ErrSyntax, err)
}

// idField reads the id of a resource. If the path gave an id, the body may omit the
// field or repeat the same id.
func idField(id *string) field {
	path := *id
	return field{"id", path == "", func(value jsontext.Value) error {
		if err := readString("id", value, id); err != nil {
			return err
		}
		if err := job.CheckID("id", *id); err != nil {
			return err
		}
		if path != "" && *id != path {
			// The path may be a key in the store, so the words fit both.
			return fmt.Errorf("%w: the object has the id %q and is addressed by %q; leave the id out or repeat the latter",
				job.ErrIDMismatch, *id, path)
		}
		return nil
	}}
}

// ParseID reads the body of a request that only names a resource: an object with the
// resource's id.
func ParseID(body []byte) (id string, err error) {
	err = readObject(body, idField(&id))
	return id, err
}

func typeError(name string, value jsontext.Value, accepted string) error {
	return fmt.Errorf("%w: %s is %s; %s", job.ErrFieldType, name, kindName(value.Kind()), accepted)
}

func kindName(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '[':
		return "an array"
	}
	return "an object"
}

// names lists the names of the fields that are not ignored.
func names(fields []field) string {
	var all []string
	for _, f := range fields {
		if f.read != nil {
			all = append(all, f.name)
		}
	}
	return strings.Join(all, ", ")
}

func required(fields []field) []field {
	return slices.DeleteFunc(slices.Clone(fields), func(f field) bool { return !f.required })
}
