package contract

import (
	"net/netip"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"belfry/internal/job"
)

// cleanURL returns a webhook URL as it will be sent: it escapes characters that are
// not ASCII or may not appear in a path, and writes the host as names are looked up.
// It refuses URLs that could not be sent as given. Those are URLs with a fragment,
// and URLs with blanks, control or invisible characters anywhere, which come from a
// careless paste and which nobody sees. The error is an [job.ErrWebhookURL] and
// quotes nothing of the URL. [job.Route.Target] decides whether the rest of it can be
// called.
func cleanURL(raw string) (string, error) {
	if !utf8.ValidString(raw) || strings.ContainsRune(raw, utf8.RuneError) {
		return "", job.BadURL("it is not all text in UTF-8")
	}
	if strings.ContainsFunc(raw, unseen) {
		return "", job.BadURL("it has a blank, a control character or an invisible one in it; write it as %20 or the like if it is meant")
	}
	if strings.Contains(raw, "#") {
		return "", job.BadURL("it has a fragment, which is never sent; write # as %23 if it is meant")
	}
	return escapeURL(raw)
}

// mendURL returns a webhook URL that was stored before [cleanURL] existed, in the
// form that is sent, as far as possible.
func mendURL(raw string) (string, error) {
	raw, _, _ = strings.Cut(raw, "#")
	if clean, err := escapeURL(raw); err == nil {
		return clean, nil
	}
	return raw, nil
}

// checkAuthorization refuses a route whose URL has credentials that would not be sent
// because the route has an Authorization header.
func checkAuthorization(r job.Route) error {
	if r.Type != job.REST {
		return nil
	}
	u, err := r.Target("https")
	if err != nil || u.User == nil {
		return err
	}
	for name := range r.Headers {
		if strings.EqualFold(name, "Authorization") {
			return job.BadURL("it has credentials, and headers has an Authorization, which is sent in their place")
		}
	}
	return nil
}

func unseen(c rune) bool {
	return unicode.IsSpace(c) || unicode.IsControl(c) || unicode.In(c, unicode.Z, unicode.Cf, unicode.Variation_Selector)
}

// escapeURL works for a URL with or without a scheme.
func escapeURL(raw string) (string, error) {
	scheme := ""
	if head, rest, found := strings.Cut(raw, "://"); found && !strings.ContainsAny(head, "/?#") {
		scheme, raw = head+"://", rest
	}
	end := strings.IndexAny(raw, "/?")
	if end < 0 {
		end = len(raw)
	}
	authority, rest := raw[:end], raw[end:]
	user := ""
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, authority = escapeBytes(authority[:at+1]), authority[at+1:]
	}
	host, err := asciiHost(authority)
	if err != nil {
		return "", err
	}
	path, query, hasQuery := strings.Cut(rest, "?")
	path = escapeBytes(path)
	if u, err := url.Parse("http://h" + path); err == nil {
		path = u.EscapedPath() // as it is sent
	}
	if hasQuery {
		path += "?" + escapeBytes(query)
	}
	return scheme + user + host + path, nil
}

// escapeBytes escapes blanks, control characters and bytes that are not ASCII.
func escapeBytes(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// asciiHost returns a host, with or without a port, in the form that is looked up:
// "münchen.example" becomes xn--mnchen-3ya.example.
func asciiHost(authority string) (string, error) {
	host, port := authority, ""
	if colon := strings.LastIndexByte(authority, ':'); colon >= 0 && !strings.HasSuffix(authority, "]") {
		host, port = authority[:colon], authority[colon:]
	}
	if strings.HasPrefix(host, "[") {
		if !isASCII(authority) {
			return "", job.BadURL("its host cannot be parsed")
		}
		return authority, nil
	}
	name := host
	if strings.Contains(name, "%") {
		// A browser shows and copies the name in this form in its address bar.
		meant, err := url.PathUnescape(name)
		if err != nil || !utf8.ValidString(meant) || strings.ContainsFunc(meant, unseen) || strings.ContainsAny(meant, "/?#@:[]") {
			return "", job.BadURL("its host cannot be parsed")
		}
		name = meant
	}
	if isASCII(name) {
		if !canBeLookedUp(name) {
			return "", job.BadURL("its host is not a name that can be looked up")
		}
		return name + port, nil
	}
	ascii, err := idna.Lookup.ToASCII(name)
	if err != nil || !canBeLookedUp(ascii) {
		return "", job.BadURL("its host is not a name that can be looked up")
	}
	if _, err := netip.ParseAddr(ascii); err == nil {
		return "", job.BadURL("its host is an address in other digits than 0 to 9")
	}
	return ascii + port, nil
}

// canBeLookedUp reports whether a name has a form that name servers know: RFC 1035,
// section 2.3.4, plus the underscores in common use. [job.Route.Target] handles an
// empty name.
func canBeLookedUp(name string) bool {
	if name = strings.TrimSuffix(name, "."); len(name) > 253 {
		return false
	}
	if name == "" {
		return true
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(c rune) bool {
			return c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
		}) {
			return false
		}
	}
	return true
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c >= utf8.RuneSelf })
}
