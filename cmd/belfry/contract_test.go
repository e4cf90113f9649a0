package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"belfry/api"
	"belfry/internal/waittest"
)

// exchange is one request of testdata/contract.txt and its answer.
type exchange struct {
	line         int // of the request
	method, path string
	ifMatch      string
	body         string
	want         answer
	inAMoment    bool
}

// TestContract runs testdata/contract.txt against the real server.
func TestContract(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("testdata/contract.txt")
	if err != nil {
		t.Fatal(err)
	}
	p := startProgram(t, t.TempDir(), "--max-meta", "100")
	for _, x := range readExchanges(t, string(script)) {
		wrong := func() string {
			got, err := p.doIfMatch(x.method, x.path, x.ifMatch, x.body)
			if err != nil || got.status != x.want.status || !matches(got.body, x.want.body) {
				return fmt.Sprintf("contract.txt:%d: %s %s %s\n got %v (%v)\nwant %v", x.line, x.method, x.path, x.body, got, err, x.want)
			}
			return ""
		}
		if x.inAMoment {
			waittest.Eventually(t, wrong)
		} else if w := wrong(); w != "" {
			t.Error(w)
		}
	}
}

// readExchanges reads the script. The head of the script explains its form.
func readExchanges(t *testing.T, script string) []exchange {
	t.Helper()
	var all []exchange
	var to *string // where body lines go; nil between exchanges
	for i, line := range strings.Split(script, "\n") {
		switch mark, status, _ := strings.Cut(line, " "); {
		case line == "" || strings.HasPrefix(line, "#"):
			to = nil
		case to == nil:
			method, path, ok := strings.Cut(line, " ")
			if !ok {
				t.Fatalf("contract.txt:%d: %q is no request; a method and a path are", i+1, line)
			}
			all = append(all, exchange{line: i + 1, method: method, path: path})
			to = &all[len(all)-1].body
		case mark == "If-Match:":
			all[len(all)-1].ifMatch = status
		case mark == "<" || mark == "<~":
			x := &all[len(all)-1]
			x.inAMoment = mark == "<~"
			var err error
			if x.want.status, err = strconv.Atoi(status); err != nil {
				t.Fatalf("contract.txt:%d: %q is no status", i+1, status)
			}
			to = &x.want.body
		case *to != "":
			*to += "\n" + line
		default:
			*to = line
		}
	}
	for _, x := range all {
		if x.want.status == 0 {
			t.Fatalf("contract.txt:%d: the request has no answer", x.line)
		}
	}
	if len(all) == 0 {
		t.Fatal("contract.txt has no requests")
	}
	return all
}

// matches compares a body with the expected one, in which "..." stands for any
// text.
func matches(got, want string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(want), `\.\.\.`, `.*`)
	return regexp.MustCompile(`(?s)^` + pattern + `$`).MatchString(got)
}

// answeredElsewhere are the endpoints that the contract cannot have answered 200, with
// the tests that do: without an admin token there are no tokens.
var answeredElsewhere = map[string]string{
	"POST /token":        "TestTokensOnAllNodes",
	"DELETE /token/{id}": "TestTokensOnAllNodes",
}

// The contract has every endpoint, and every error code of the API that a test can
// cause.
func TestContractIsComplete(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("testdata/contract.txt")
	if err != nil {
		t.Fatal(err)
	}
	endpoints := http.NewServeMux()
	for _, endpoint := range api.Endpoints() {
		endpoints.Handle(endpoint, http.NotFoundHandler())
	}
	answered := map[string]bool{} // "GET /job/{db}": one of its requests is answered 200
	codes := map[string]bool{}
	code := regexp.MustCompile(`"code":"(E\d+)"`)
	for _, x := range readExchanges(t, string(script)) {
		if x.want.status == http.StatusOK {
			_, endpoint := endpoints.Handler(httptest.NewRequest(x.method, x.path, nil))
			answered[endpoint] = true
		}
		if m := code.FindStringSubmatch(x.want.body); m != nil {
			codes[m[1]] = true
		}
	}
	for _, endpoint := range api.Endpoints() {
		if elsewhere := answeredElsewhere[endpoint]; answered[endpoint] == (elsewhere != "") {
			t.Errorf("%s is answered 200 in the contract: %v; elsewhere: %q", endpoint, answered[endpoint], elsewhere)
		}
	}
	// E103 takes a race, E105 and E111 a NATS client, E3xx a broken Belfry or its
	// server's limits, E411 and E412 the headers of a browser, as in admin_test.go, and
	// the other three a Belfry that asks for tokens, as in access_test.go.
	elsewhere := map[string]bool{"E103": true, "E105": true, "E111": true, "E112": true, "E305": true, "E306": true, "E401": true, "E403": true, "E411": true, "E412": true, "E429": true}
	for _, row := range api.ErrorTable() {
		if !codes[row.Code] && !elsewhere[row.Code] && row.Status < http.StatusInternalServerError {
			t.Errorf("the code %s (%v) is not in the contract", row.Code, row.Err)
		}
	}
}
