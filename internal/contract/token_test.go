package contract_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belfry/internal/contract"
	"belfry/internal/job"
)

var tokenNow = time.UnixMilli(1667659342626)

func TestParseToken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		body string
		want job.Token
		err  error
	}{
		{`{"role":"reader","dbs":["games","a b"]}`, job.Token{Role: job.Reader, DBs: []string{"games", "a b"}}, nil},
		{`{"role":"writer","all_dbs":true,"expires_time":1667659342627,"description":"CI"}`,
			job.Token{Role: job.Writer, AllDBs: true, Expires: 1667659342627, Description: "CI"}, nil},
		{`{"role":"admin"}`, job.Token{Role: job.Admin, AllDBs: true}, nil},
		{``, job.Token{}, job.ErrEmptyBody},
		{`{"dbs":["games"]}`, job.Token{}, job.ErrMissingField},
		{`{"role":"reader","dbs":"games"}`, job.Token{}, job.ErrFieldType},
		{`{"role":"reader","dbs":[1]}`, job.Token{}, job.ErrFieldType},
		{`{"role":"reader","dbs":[""]}`, job.Token{}, job.ErrID},
		{`{"role":"reader","all_dbs":"yes"}`, job.Token{}, job.ErrFieldType},
		{`{"role":"reader","all_dbs":true,"expires_time":"1h"}`, job.Token{}, job.ErrFieldType},
		{`{"role":"reader","all_dbs":true,"expires_time":1e300}`, job.Token{}, job.ErrToken},
		{`{"role":"reader","all_dbs":true,"expires_time":0}`, job.Token{}, job.ErrToken},
		{`{"role":"reader","all_dbs":true,"expires_time":-0}`, job.Token{}, job.ErrToken},
		{`{"role":"reader"}`, job.Token{}, job.ErrToken},
		{`{"role":"admin","dbs":["games"]}`, job.Token{}, job.ErrToken},
		{`{"role":"reader","all_dbs":true,"sha256":""}`, job.Token{}, job.ErrUnknownField},
	} {
		got, err := contract.ParseToken([]byte(tt.body), tokenNow)
		if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
			t.Errorf("%s: error %v, want %v", tt.body, err, tt.err)
		}
		if diff := cmp.Diff(tt.want, got); err == nil && diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.body, diff)
		}
	}
}

func TestTokensAreStoredAndShown(t *testing.T) {
	t.Parallel()
	for _, asked := range []job.Token{
		{Role: job.Reader, DBs: []string{`a"b`, "é"}, Description: `"x"`, Expires: tokenNow.UnixMilli() + 1},
		{Role: job.Admin, AllDBs: true},
	} {
		token, text := asked.Issue(tokenNow)
		_, secret, _ := job.SplitToken(text)
		stored := contract.AppendToken(nil, token)
		back, err := contract.ParseStoredToken(stored, token.ID)
		if diff := cmp.Diff(token, back); err != nil || diff != "" {
			t.Errorf("%s is read back with error %v (-want +got):\n%s", stored, err, diff)
		}
		list := contract.AppendTokens(nil, []job.Token{token, token})
		for _, shown := range [][]byte{stored, list} {
			if strings.Contains(string(shown), secret) {
				t.Errorf("%s has the secret %s", shown, secret)
			}
		}
		if strings.Contains(string(list), "sha256") {
			t.Errorf("%s has the sum of the secret", list)
		}
		if issued := string(contract.AppendIssued(nil, token, text)); !strings.HasPrefix(issued, `{"status":"ok","token":"`+text+`","id":"`+token.ID+`","role":"`) {
			t.Errorf("the answer is %s", issued)
		}
	}
	if got := string(contract.AppendTokens(nil, nil)); got != `{"tokens":[]}` {
		t.Errorf("no tokens are %s", got)
	}
}

func FuzzStoredToken(f *testing.F) {
	token, _ := job.Token{Role: job.Reader, DBs: []string{"a"}}.Issue(tokenNow)
	f.Add(contract.AppendToken(nil, token))
	f.Add([]byte(`{"role":"admin","all_dbs":true,"created_time":1,"ends_with":"abcd","sha256":"00"}`))
	f.Add([]byte(`{"role":"admin","created_time":1,"ends_with":"abcd","sha256":"` + strings.Repeat("0", 64) + `"}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		got, err := contract.ParseStoredToken(value, token.ID)
		if err != nil {
			return
		}
		again, err := contract.ParseStoredToken(contract.AppendToken(nil, got), token.ID)
		if diff := cmp.Diff(got, again); err != nil || diff != "" {
			t.Errorf("%s is written and read back with error %v (-want +got):\n%s", value, err, diff)
		}
	})
}
