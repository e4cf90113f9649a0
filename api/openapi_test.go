package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"belfry/api"
	"belfry/internal/contract"
	"belfry/internal/job"
)

// spec is the description of the API, as parsed JSON.
var spec = sync.OnceValue(func() map[string]any {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(api.OpenAPI()))
	if err != nil {
		panic(err)
	}
	return doc.(map[string]any)
})

// schemas compiles the schemas of the description, with nothing allowed in an
// object that neither it nor its parts name.
var schemas = sync.OnceValue(func() *jsonschema.Compiler {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(api.OpenAPI()))
	if err != nil {
		panic(err)
	}
	parts := map[string]bool{}
	for _, s := range at(doc, "components", "schemas").(map[string]any) {
		all, _ := at(s, "allOf").([]any)
		for _, part := range all {
			parts[path.Base(at(part, "$ref").(string))] = true
		}
	}
	for name, s := range at(doc, "components", "schemas").(map[string]any) {
		if parts[name] {
			closeObjects(at(s, "properties"))
			continue
		}
		closeObjects(s)
	}
	closeObjects(at(doc, "paths"))
	c := jsonschema.NewCompiler()
	if err := c.AddResource("openapi.json", doc); err != nil {
		panic(err)
	}
	return c
})

func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v["properties"]; ok && v["type"] == "object" {
			v["unevaluatedProperties"] = false // its parts' properties are evaluated
		}
		for _, inner := range v {
			closeObjects(inner)
		}
	case []any:
		for _, inner := range v {
			closeObjects(inner)
		}
	}
}

var compiling sync.Mutex

// conforms reports how a value differs from the schema at the place in the
// description.
func conforms(value []byte, place ...string) error {
	pointer := "openapi.json#"
	for _, p := range place {
		pointer += "/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(p))
	}
	compiling.Lock()
	s, err := schemas().Compile(pointer)
	compiling.Unlock()
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// at finds the value at a place in a JSON value, following one reference.
func at(v any, place ...string) any {
	for _, p := range place {
		m, _ := v.(map[string]any)
		v = m[p]
		if m, ok := v.(map[string]any); ok && m["$ref"] != nil {
			v = at(spec(), strings.Split(strings.TrimPrefix(m["$ref"].(string), "#/"), "/")...)
		}
	}
	return v
}

// recorder keeps the answers of a handler.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
func (r *recorder) WriteHeader(status int)      { r.status = status; r.ResponseWriter.WriteHeader(status) }
func (r *recorder) Write(p []byte) (int, error) { r.body.Write(p); return r.ResponseWriter.Write(p) }

// held checks each request to the handler, and its answer, against the description.
func held(t *testing.T, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The server can close the connection on a body that is too large only
		// if it has its own hands on it.
		if r.ContentLength > 64<<10 {
			handler.ServeHTTP(w, r)
			return
		}
		var asked bytes.Buffer
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, &asked), r.Body}
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		handler.ServeHTTP(rec, r)
		for _, err := range compare(handler.(chi.Routes), r, asked.Bytes(), rec) {
			t.Errorf("%s %.200s %.200s: %v; the answer is %d %.500s", r.Method, r.RequestURI, &asked, err, rec.status, &rec.body)
		}
	})
}

func compare(mux chi.Routes, r *http.Request, asked []byte, rec *recorder) (wrong []error) {
	note := func(err error, what string) {
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", what, err))
		}
	}
	method, path := r.Method, r.URL.RawPath
	if path == "" {
		path = r.URL.EscapedPath()
	}
	if method == http.MethodHead {
		method = http.MethodGet
	}
	route := chi.NewRouteContext()
	if !mux.Match(route, method, path) {
		if r.Method != http.MethodHead {
			note(conforms(rec.body.Bytes(), "components", "schemas", "Error"), "what no path takes")
		}
		return wrong
	}
	pattern := route.RoutePattern()
	if strings.HasSuffix(path, "/") && path != "/" { // chi leaves it out
		pattern = described(pattern + "/")
	}
	method = strings.ToLower(method)
	op := at(spec(), "paths", pattern, method)
	if op == nil {
		return []error{fmt.Errorf("%s %s is not described", method, pattern)}
	}
	status := fmt.Sprint(rec.status)
	if rec.status >= 400 {
		status = status[:1] + "XX"
	}
	media, _, _ := strings.Cut(rec.Header().Get("Content-Type"), ";")
	if at(op, "responses", status, "content", media) == nil {
		return []error{fmt.Errorf("an answer of %s with %q is not described", status, media)}
	}
	place := []string{"paths", pattern, method, "responses", status, "content", media, "schema"}
	switch status {
	case "4XX":
		place = []string{"components", "responses", "Refused", "content", media, "schema"}
	case "5XX":
		place = []string{"components", "responses", "Trouble", "content", media, "schema"}
	}
	if r.Method != http.MethodHead {
		switch media {
		case "application/json":
			note(conforms(rec.body.Bytes(), place...), "the answer")
		case "application/x-ndjson":
			for line := range bytes.Lines(rec.body.Bytes()) {
				note(conforms(line, place...), "a line of the answer")
			}
		}
	}
	if rec.status != http.StatusOK || media == "application/x-ndjson" {
		return wrong // a refused request may well be invalid
	}
	if len(bytes.TrimSpace(asked)) > 0 && at(op, "requestBody", "content", "application/gzip") == nil {
		note(conforms(asked, "paths", pattern, method, "requestBody", "content", "application/json", "schema"), "the request")
	}
	known := map[string]bool{}
	ps, _ := at(op, "parameters").([]any)
	for _, p := range ps {
		p := at(map[string]any{"p": p}, "p").(map[string]any)
		known[p["in"].(string)+" "+p["name"].(string)] = true
	}
	for _, name := range route.URLParams.Keys {
		if !known["path "+name] {
			note(fmt.Errorf("%q is not described", name), "a parameter of the path")
		}
	}
	if r.Header.Get("If-Match") != "" && !known["header If-Match"] {
		note(fmt.Errorf("it is not described"), "If-Match")
	}
	if len(known) > len(route.URLParams.Keys) && r.URL.RawQuery != "" && method == "get" && strings.Contains(string(mustJSON(ps)), `"query"`) {
		for name := range r.URL.Query() {
			if !known["query "+name] {
				note(fmt.Errorf("%q is not described", name), "a parameter of the query")
			}
		}
	}
	return wrong
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// described returns a router's pattern in the description's form: a pattern that ends
// where the id should be is the same path with an empty id.
func described(pattern string) string {
	if pattern != "/" && strings.HasSuffix(pattern, "/") {
		return pattern + "{id}"
	}
	return pattern
}

// The description has exactly the paths of the router.
func TestOpenAPIHasAllPaths(t *testing.T) {
	t.Parallel()
	var want []string
	err := chi.Walk(api.New(config(newStore())).(chi.Routes), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		want = append(want, strings.ToLower(method)+" "+described(route))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	var got []string
	for path, methods := range at(spec(), "paths").(map[string]any) {
		for method := range methods.(map[string]any) {
			got = append(got, method+" "+path)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(slices.Compact(want), got); diff != "" {
		t.Errorf("the paths of the router (-) and of openapi.json (+) differ:\n%s", diff)
	}
}

// propertiesOf returns the properties of a schema and of its parts.
func propertiesOf(schema any) map[string]any {
	all := maps.Clone(at(schema, "properties").(map[string]any))
	parts, _ := at(schema, "allOf").([]any)
	for _, part := range parts {
		maps.Copy(all, propertiesOf(at(map[string]any{"part": part}, "part")))
	}
	return all
}

// The description has every error code, status and field of a route as the code has
// them.
func TestOpenAPIHasAllNames(t *testing.T) {
	t.Parallel()
	var want, got []string
	for _, row := range api.ErrorTable() {
		want = append(want, fmt.Sprintf("%s status %d: %s", row.Code, row.Status, row.Meaning))
	}
	for _, c := range at(spec(), "components", "schemas", "Code", "oneOf").([]any) {
		c := c.(map[string]any)
		got = append(got, fmt.Sprintf("%s %s: %s", c["const"], c["title"], c["description"]))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the error codes of the table (-) and of openapi.json (+) differ:\n%s", diff)
	}
	want, got = nil, nil
	for _, s := range job.Statuses() {
		want = append(want, string(s))
	}
	for _, s := range at(spec(), "components", "schemas", "Status", "enum").([]any) {
		got = append(got, s.(string))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the statuses (-) and those of openapi.json (+) differ:\n%s", diff)
	}
	for _, name := range []string{"NewRoute", "RouteChange", "Route"} {
		fields := propertiesOf(at(spec(), "components", "schemas", name))
		for _, f := range job.PolicyFields() {
			outer, inner, nested := strings.Cut(f.Name, ".")
			v := fields[outer]
			if nested && v != nil {
				v = at(v, "properties", inner)
			}
			if v == nil {
				t.Errorf("openapi.json has no field %s of %s", f.Name, name)
				continue
			}
			want := strings.ReplaceAll(f.Meaning, ", see below", "")
			if len(f.For) == 1 {
				want += fmt.Sprintf(" Of %s routes.", f.For[0])
			}
			if got := at(v, "description"); got != want {
				t.Errorf("openapi.json says of %s of %s\n%s, want\n%s", f.Name, name, got, want)
			}
		}
	}
}

// A field that nothing describes is reported, also where an object has parts, and in
// an object that a part has.
func TestUnknownFieldsAreNotDescribed(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"NewRoute", "RouteChange", "Route"} {
		for body, ok := range map[string]bool{
			`{"id":"r","type":"REST","paused":true,"retry":{"jitter":0.5}}`: true,
			`{"id":"r","type":"REST","strange":1}`:                          false,
			`{"id":"r","type":"REST","retry":{"strange":1}}`:                false,
			`{"id":"r","paused":true}`:                                      false, // its type is needed
		} {
			if err := conforms([]byte(body), "components", "schemas", name); (err == nil) != ok {
				t.Errorf("%s as %s: %v, want it described: %v", body, name, err, ok)
			}
		}
	}
}

// A field that an answer has only sometimes is described, too.
func TestTrippedRouteIsDescribed(t *testing.T) {
	t.Parallel()
	route := job.Route{
		RouteKey: job.RouteKey{DB: "db", ID: "r"}, Type: job.REST, WebhookURL: "h",
		Breaker: job.Breaker{State: job.BreakerHalfOpen, Until: 1667659342626},
	}
	answer := contract.AppendRouteAnswer(nil, route)
	if err := conforms(answer, "components", "schemas", "Route"); err != nil {
		t.Errorf("%s: %v", answer, err)
	}
}
