package delivery

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strings"

	"belfry/internal/job"
)

// excerpt reads the beginning of an answer, at most [job.MaxResponse] bytes. It
// replaces every secret that the receiver may have repeated with [job.Hidden].
func excerpt(body io.Reader, secrets []string) []byte {
	longest := 0
	for _, s := range secrets {
		longest = max(longest, len(s))
	}
	// Read far enough to see whole each secret that begins in the kept part. The bytes
	// before an error are worth keeping, too.
	seen, err := io.ReadAll(io.LimitReader(body, int64(job.MaxResponse+longest)))
	if longest == 0 {
		return seen
	}
	// An answer may end inside a secret. If Belfry cut it off, any character may begin
	// one. If not, the receiver cut what it repeats, or the answer ends so.
	least := minValue
	if err != nil {
		least = 1
	}
	var kept []byte
	for at := 0; at < min(len(seen), job.MaxResponse); {
		if rest := seen[at:]; len(rest) >= least && len(rest) < longest && beginsSecret(rest, secrets) {
			kept = append(kept, job.Hidden...)
			break
		}
		n := secretAt(seen[at:], secrets)
		if n > 0 {
			kept = append(kept, job.Hidden...)
			at += n
			continue
		}
		kept = append(kept, seen[at])
		at++
	}
	return kept[:min(len(kept), job.MaxResponse)]
}

// secretAt returns the length of the secret that text begins with, or 0.
func secretAt(text []byte, secrets []string) int {
	for _, s := range secrets {
		if bytes.HasPrefix(text, []byte(s)) {
			return len(s)
		}
	}
	return 0
}

// beginsSecret reports whether a secret begins with text, and goes on.
func beginsSecret(text []byte, secrets []string) bool {
	return slices.ContainsFunc(secrets, func(s string) bool { return len(s) > len(text) && strings.HasPrefix(s, string(text)) })
}

// minWord is the shortest word in a header's value that may be a secret by itself,
// such as the token after "Bearer".
const minWord = 6

// minValue is the shortest value in the query that may be a secret. Without a limit,
// ?v=1 would hide every 1.
const minValue = 4

// secretsOf lists what a receiver knows of a route and readers of its answer must not
// see: the values of headers, the signing secrets, and the URL's credentials and
// query, each also as a JSON answer would repeat it. The longest come first, since one
// may begin with another.
func secretsOf(p job.Policy, target *url.URL) []string {
	var all []string
	for _, value := range p.Headers {
		all = append(all, value)
		for _, word := range strings.Fields(value) {
			if len(word) >= minWord {
				all = append(all, word)
			}
		}
	}
	for _, s := range p.AllSecrets() {
		_, key, _ := strings.Cut(s, "_")
		all = append(all, s, key)
	}
	all = append(all, inUser(target.User)...)
	all = append(all, inQuery(target.RawQuery)...)
	for _, s := range all {
		all = append(all, inJSON(s)...)
	}
	all = slices.DeleteFunc(all, func(s string) bool { return s == "" })
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return slices.Compact(all)
}

// inJSON lists the other ways to write s in a JSON string: with characters that HTML
// would misread escaped or not, and with slashes escaped or not.
func inJSON(s string) []string {
	if !strings.ContainsAny(s, `"\/<>&`) {
		return nil
	}
	var all []string
	for _, html := range []bool{false, true} {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(html)
		_ = e.Encode(s) // encoding a string cannot fail
		quoted := strings.TrimSuffix(b.String(), "\n")
		inside := quoted[1 : len(quoted)-1]
		all = append(all, inside, strings.ReplaceAll(inside, "/", `\/`))
	}
	return all
}

// inUser lists the secret parts of a URL's credentials, and the form in which they are
// sent. A name without a password is itself a secret.
func inUser(user *url.Userinfo) []string {
	if user == nil {
		return nil
	}
	name := user.Username()
	password, _ := user.Password()
	secret := cmp.Or(password, name)
	return []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret),
		base64.StdEncoding.EncodeToString([]byte(name + ":" + password)),
	}
}

// inQuery lists a query and the values in it, both encoded and decoded. A part without
// "=" may be a value by itself.
func inQuery(raw string) []string {
	all := []string{raw}
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, found := strings.Cut(pair, "=")
		if !found {
			value = name
		}
		meant, err := url.QueryUnescape(value)
		if err != nil {
			meant = value // it is not a valid query, but it is still sent
		}
		for _, s := range []string{value, meant} {
			if len(s) >= minValue {
				all = append(all, s)
			}
		}
	}
	return all
}
