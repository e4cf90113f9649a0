package job_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"belfry/internal/job"
)

func TestRolesIncludeEachOther(t *testing.T) {
	t.Parallel()
	for i, r := range job.Roles() {
		for j, need := range job.Roles() {
			if got := r.Includes(need); got != (i >= j) {
				t.Errorf("%s includes %s: %v, want %v", r, need, got, i >= j)
			}
		}
		if job.Role("").Includes(r) || job.Role("root").Includes(r) || r.Includes("") || r.Includes("root") {
			t.Errorf("a role that is none includes %s, or is included by it", r)
		}
	}
}

func TestIssuedToken(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1667659342626)
	token, text := job.Token{Role: job.Reader, DBs: []string{"games"}, Expires: now.UnixMilli() + 1}.Issue(now)
	id, secret, ok := job.SplitToken(text)
	if !ok || id != token.ID || !job.IsTokenID(id) || token.Created != now.UnixMilli() {
		t.Fatalf("%s is split into %q, %v; want id %q", text, id, ok, token.ID)
	}
	if !strings.HasSuffix(secret, token.Tail) || len(token.Tail) != 4 {
		t.Errorf("the tail of %q is %q", secret, token.Tail)
	}
	if !token.Opens(secret, now) {
		t.Error("the token's own secret does not open it")
	}
	if token.Opens(secret, now.Add(time.Millisecond)) {
		t.Error("it opens when it has expired")
	}
	for _, wrong := range []string{"", secret[1:], secret + "a", strings.ToUpper(secret), strings.Repeat("a", len(secret))} {
		if token.Opens(wrong, now) {
			t.Errorf("%q opens the token with the secret %q", wrong, secret)
		}
	}
	if !token.Reaches("games") || token.Reaches("game") || token.Reaches("") {
		t.Error("it reaches other dbs than games")
	}
	if other, text2 := token.Issue(now); other.ID == token.ID || other.Sum == token.Sum || text2 == text {
		t.Error("two tokens are the same")
	}
	for _, bad := range []string{
		"", "belfry_", "belfry__", text[1:], strings.Replace(text, "belfry_", "Belfry_", 1),
		strings.TrimSuffix(text, "_"+secret), text + "x", "belfry_" + id[1:] + "_" + secret, "belfry_" + strings.ToUpper(id) + "_" + secret,
		"belfry_" + strings.Repeat(".", len(id)) + "_" + secret,
	} {
		if _, _, ok := job.SplitToken(bad); ok {
			t.Errorf("%q is taken for a token", bad)
		}
	}
}

func TestTokenCheck(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1667659342626)
	for _, tt := range []struct {
		name  string
		token job.Token
		want  error
		says  string
	}{
		{"reader", job.Token{Role: job.Reader, DBs: []string{"a", "b"}}, nil, ""},
		{"all dbs", job.Token{Role: job.Writer, AllDBs: true, Expires: now.UnixMilli() + 1, Description: "the möwe"}, nil, ""},
		{"admin", job.Token{Role: job.Admin, AllDBs: true}, nil, ""},
		{"no role", job.Token{AllDBs: true}, job.ErrToken, `role: ""`},
		{"other role", job.Token{Role: "root", AllDBs: true}, job.ErrToken, `"root"`},
		{"admin of dbs", job.Token{Role: job.Admin, DBs: []string{"a"}}, job.ErrToken, "for all"},
		{"no dbs", job.Token{Role: job.Reader}, job.ErrToken, `dbs, or "all_dbs":true`},
		{"both", job.Token{Role: job.Reader, AllDBs: true, DBs: []string{"a"}}, job.ErrToken, "not both"},
		{"an empty db", job.Token{Role: job.Reader, DBs: []string{""}}, job.ErrID, "empty"},
		{"twice", job.Token{Role: job.Reader, DBs: []string{"a", "a"}}, job.ErrToken, "twice"},
		{"many", job.Token{Role: job.Reader, DBs: make([]string, 101)}, job.ErrToken, "up to 100"},
		{"long", job.Token{Role: job.Reader, AllDBs: true, Description: strings.Repeat("x", 201)}, job.ErrToken, "201 bytes"},
		{"control", job.Token{Role: job.Reader, AllDBs: true, Description: "\x1b[2J"}, job.ErrToken, "control"},
		{"past", job.Token{Role: job.Reader, AllDBs: true, Expires: now.UnixMilli()}, job.ErrToken, "expires_time"},
		{"negative", job.Token{Role: job.Reader, AllDBs: true, Expires: -1}, job.ErrToken, "expires_time"},
	} {
		err := tt.token.Check(now)
		if !errors.Is(err, tt.want) || (tt.want == nil) != (err == nil) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
		if err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %q, want %q in it", tt.name, err, tt.says)
		}
	}
}

func FuzzSplitToken(f *testing.F) {
	_, text := job.Token{Role: job.Admin, AllDBs: true}.Issue(time.Now())
	for _, s := range []string{text, "", "belfry_", "belfry__", text + "_", strings.ToUpper(text)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, secret, ok := job.SplitToken(text)
		if ok && (job.TokenPrefix+id+"_"+secret != text || !job.IsTokenID(id)) {
			t.Errorf("%q is split into %q and %q", text, id, secret)
		}
	})
}
