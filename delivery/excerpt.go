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

// excerpt reads the beginning of an answer, at most [job.MaxResponse] bytes of
// it, with [job.Hidden] in the place of every secret that the receiver may
// have repeated.
func excerpt(body io.Reader, secrets []string) []byte {
	longest := 0
	for _, s := range secrets {
		longest = max(longest, len(s))
	}
	// So far that each secret which begins in the kept part is seen whole. What
	// came before an error is worth keeping, too.
	seen, err := io.ReadAll(io.LimitReader(body, int64(job.MaxResponse+longest)))
	if longest == 0 {
		return seen
	}
	// An answer may end inside a secret. If it was cut off, any character may be one's
	// beginning; if not, the receiver itself cut what it repeats, or it ends so.
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

// secretAt returns how long the secret is that text begins with; 0 is none.
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

// minWord is how long a word in a header's value is that may be a secret by
// itself, as the token after "Bearer".
const minWord = 6

// minValue is how long a value in the query is that may be a secret: without a
// limit, ?v=1 would hide every 1.
const minValue = 4

// secretsOf lists what a receiver knows of a route that nobody who reads its
// answer is to see, the longest first, since one may begin with another: the
// values of headers, the secrets that sign, and the credentials and query of
// the URL, each also as an answer in JSON would repeat it.
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

// inJSON lists how else s may be written in a JSON string: with what HTML would
// misread escaped or not, and with slashes escaped or not.
func inJSON(s string) []string {
	if !strings.ContainsAny(s, `"\/<>&`) {
		return nil
	}
	var all []string
	for _, html := range []bool{false, true} {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(html)
		_ = e.Encode(s) // a string has no error
		quoted := strings.TrimSuffix(b.String(), "\n")
		inside := quoted[1 : len(quoted)-1]
		all = append(all, inside, strings.ReplaceAll(inside, "/", `\/`))
	}
	return all
}

// inUser lists what of a URL's credentials is secret, and the form in which
// they are sent. A name without a password is one itself.
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

// inQuery lists a query and the values in it, as they are written and as they
// are meant. What has no "=" may be a value by itself.
func inQuery(raw string) []string {
	all := []string{raw}
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, found := strings.Cut(pair, "=")
		if !found {
			value = name
		}
		meant, err := url.QueryUnescape(value)
		if err != nil {
			meant = value // it is no query as we know them, but still sent
		}
		for _, s := range []string{value, meant} {
			if len(s) >= minValue {
				all = append(all, s)
			}
		}
	}
	return all
}
