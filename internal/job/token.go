package job

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Role is how much a token may do. Each role includes the ones before it.
type Role string

const (
	Reader Role = "reader" // looks at jobs, routes and dead letters
	Writer Role = "writer" // changes them
	Admin  Role = "admin"  // everything, in all dbs: tokens, too
)

// Roles returns every role, from the least to the greatest.
func Roles() []Role { return []Role{Reader, Writer, Admin} }

// Includes reports whether r may do what need may do. An unknown role includes
// nothing, and no role includes it.
func (r Role) Includes(need Role) bool {
	at := slices.Index(Roles(), need)
	return at >= 0 && slices.Index(Roles(), r) >= at
}

// Token is the stored form of a bearer token. It never holds the secret.
type Token struct {
	ID          string // not secret; in the token itself
	Role        Role
	AllDBs      bool     // every db, also those to come
	DBs         []string // otherwise these
	Description string   // for people
	Created     int64    // unix ms
	Expires     int64    // unix ms; 0 is never
	Tail        string   // the end of the secret, to recognize it by

	// Sum is the SHA-256 of the secret. It needs no salt and no slow hash. Passwords
	// need those since people choose them, but the secret is 256 random bits: nobody
	// can guess it or look it up in a table. A fast hash keeps the check of each
	// request below a microsecond.
	Sum [sha256.Size]byte
}

// A token is written belfry_<id>_<secret>, id and secret in lower-case base32.
const (
	TokenPrefix = "belfry_"

	tokenIDBytes     = 10
	tokenSecretBytes = 32
	tokenTail        = 4
)

var tokenText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// These are the lengths of an id and of a secret, in characters.
var (
	tokenIDLen     = tokenText.EncodedLen(tokenIDBytes)
	tokenSecretLen = tokenText.EncodedLen(tokenSecretBytes)
)

// These are the limits of a request for a token.
const (
	maxTokenDBs         = 100
	maxTokenDescription = 200 // bytes
)

// Issue gives a requested token an id and a new secret. It returns the token and its
// text, which exists nowhere else.
func (t Token) Issue(now time.Time) (issued Token, text string) {
	random := make([]byte, tokenIDBytes+tokenSecretBytes)
	rand.Read(random) // never fails
	secret := tokenText.EncodeToString(random[tokenIDBytes:])
	t.ID = tokenText.EncodeToString(random[:tokenIDBytes])
	t.Created = now.UnixMilli()
	t.Sum = sha256.Sum256([]byte(secret))
	t.Tail = secret[len(secret)-tokenTail:]
	return t, TokenPrefix + t.ID + "_" + secret
}

// SplitToken returns the parts of a token's text; ok is false if the text is not a
// token.
func SplitToken(text string) (id, secret string, ok bool) {
	rest, ok := strings.CutPrefix(text, TokenPrefix)
	if !ok {
		return "", "", false
	}
	id, secret, ok = strings.Cut(rest, "_")
	return id, secret, ok && IsTokenID(id) && len(secret) == tokenSecretLen
}

// IsTokenID reports whether s can be the id of a token.
func IsTokenID(s string) bool {
	return len(s) == tokenIDLen && !strings.ContainsFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= '2' && c <= '7')
	})
}

// Opens reports whether the secret is the token's and the token has not expired. The
// time it takes reveals nothing about the secret.
func (t Token) Opens(secret string, now time.Time) bool {
	sum := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(sum[:], t.Sum[:]) == 1 && !t.Expired(now)
}

// Expired reports whether the token's time is over.
func (t Token) Expired(now time.Time) bool { return t.Expires != 0 && t.Expires <= now.UnixMilli() }

// Reaches reports whether the token is for the db.
func (t Token) Reaches(db string) bool { return t.AllDBs || slices.Contains(t.DBs, db) }

// Check validates a requested token. The errors wrap [ErrToken] and [ErrID].
func (t Token) Check(now time.Time) error {
	switch {
	case !slices.Contains(Roles(), t.Role):
		return badToken("role", Quote(string(t.Role)), `"reader", "writer" and "admin"`)
	case t.Role == Admin && (len(t.DBs) > 0 || !t.AllDBs):
		return badToken("dbs", "the role is admin, which is for all", "no dbs")
	case t.Role != Admin && t.AllDBs == (len(t.DBs) > 0):
		return badToken("dbs", "the role is "+string(t.Role), `dbs, or "all_dbs":true, but not both`)
	case len(t.DBs) > maxTokenDBs:
		return badToken("dbs", fmt.Sprintf("there are %d", len(t.DBs)), fmt.Sprintf("up to %d", maxTokenDBs))
	case len(t.Description) > maxTokenDescription:
		return badToken("description", fmt.Sprintf("it has %d bytes", len(t.Description)), fmt.Sprintf("up to %d", maxTokenDescription))
	case strings.ContainsFunc(t.Description, unicode.IsControl):
		return badToken("description", Quote(t.Description), "text without control characters")
	case t.Expires < 0 || t.Expires > MaxTrigger || t.Expired(now):
		return badToken("expires_time", fmt.Sprint(t.Expires), "a unix time in milliseconds from now to the year 9999")
	}
	for i, db := range t.DBs {
		if err := CheckNewID("a db of dbs", db); err != nil {
			return err
		}
		if slices.Contains(t.DBs[:i], db) {
			return badToken("dbs", Quote(db)+" is given twice", "each once")
		}
	}
	return nil
}

func badToken(field, wrong, accepts string) error {
	return fmt.Errorf("%w: %s: %s; accepted: %s", ErrToken, field, wrong, accepts)
}
