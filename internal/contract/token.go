package contract

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/internal/job"
)

// ParseToken reads the body of a request for a token: role, dbs or all_dbs,
// expires_time and description. It checks them with [job.Token.Check]. An admin token
// is for all dbs even if the body does not say so.
func ParseToken(body []byte, now time.Time) (job.Token, error) {
	var t job.Token
	if err := readObject(body, tokenFields(&t)...); err != nil {
		return job.Token{}, err
	}
	if t.Role == job.Admin {
		t.AllDBs = true
	}
	return t, t.Check(now)
}

// ParseStoredToken reads the value stored under a token's id, as [AppendToken] writes
// it.
func ParseStoredToken(value []byte, id string) (job.Token, error) {
	t := job.Token{ID: id}
	if !job.IsTokenID(id) {
		return t, fmt.Errorf("%w: %s is no token's", job.ErrID, job.Quote(id))
	}
	sum := ""
	err := readObject(value, append(tokenFields(&t),
		timeField("created_time", true, &t.Created),
		stringField("ends_with", true, &t.Tail),
		stringField("sha256", true, &sum))...)
	if err != nil {
		return t, err
	}
	raw, err := hex.DecodeString(sum)
	if err != nil || len(raw) != len(t.Sum) {
		return t, fmt.Errorf("%w: sha256 is not %d bytes in hexadecimal digits", job.ErrToken, len(t.Sum))
	}
	copy(t.Sum[:], raw)
	return t, t.Check(time.UnixMilli(t.Created)) // it may have expired since
}

func tokenFields(t *job.Token) []field {
	return []field{
		stringField("role", true, (*string)(&t.Role)),
		{"dbs", false, func(value jsontext.Value) error {
			return readArray("dbs", value, func(value jsontext.Value) error {
				var db string
				err := readString("a db of dbs", value, &db)
				t.DBs = append(t.DBs, db)
				return err
			})
		}},
		boolField("all_dbs", &t.AllDBs),
		timeField("expires_time", false, &t.Expires),
		stringField("description", false, &t.Description),
	}
}

// timeField reads a time of a token, in unix milliseconds.
func timeField(name string, required bool, ms *int64) field {
	return field{name, required, func(value jsontext.Value) (err error) {
		if value.Kind() != '0' {
			return typeError(name, value, "unix milliseconds are accepted")
		}
		// An absent field means never, and a program without a time may send 0 for
		// it.
		if *ms, err = strconv.ParseInt(string(value), 10, 64); err != nil || *ms <= 0 {
			return fmt.Errorf("%w: %s is %s; unix milliseconds are accepted", job.ErrToken, name, job.Quote(string(value)))
		}
		return nil
	}}
}

// AppendToken appends the value stored under the token's id.
// [ParseStoredToken] reads it back.
func AppendToken(dst []byte, t job.Token) []byte {
	dst = appendTokenFields(append(dst, '{'), t)
	return append(AppendString(appendName(dst, "sha256"), hex.EncodeToString(t.Sum[:])), '}')
}

// AppendIssued appends the answer to a request for a token: the token's text, which
// is not shown again, and the fields that a list shows.
func AppendIssued(dst []byte, t job.Token, text string) []byte {
	dst = AppendString(append(dst, `{"status":"ok","token":`...), text)
	return append(appendListed(append(dst, ','), t), '}')
}

// AppendTokens appends a list of tokens, without the secrets that open them.
func AppendTokens(dst []byte, all []job.Token) []byte {
	dst = append(dst, `{"tokens":[`...)
	for i, t := range all {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendListed(append(dst, '{'), t), '}')
	}
	return append(dst, ']', '}')
}

func appendListed(dst []byte, t job.Token) []byte {
	dst = AppendString(append(dst, `"id":`...), t.ID)
	return appendTokenFields(append(dst, ','), t)
}

// appendTokenFields leaves the object open.
func appendTokenFields(dst []byte, t job.Token) []byte {
	dst = AppendString(append(dst, `"role":`...), string(t.Role))
	if t.AllDBs {
		dst = append(dst, `,"all_dbs":true`...)
	} else {
		dst = appendName(dst, "dbs")
		for i, db := range t.DBs {
			dst = AppendString(append(dst, comma('[', i)), db)
		}
		dst = append(dst, ']')
	}
	dst = AppendWord(dst, "description", t.Description)
	dst = AppendInt(dst, "created_time", t.Created)
	dst = AppendInt(dst, "expires_time", t.Expires)
	return AppendWord(dst, "ends_with", t.Tail)
}
