package client_test

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"belfry/api/client"
)

// types are the Go types of the schemas of openapi.json, by their names. Some types
// are written inline in other schemas there, and have no schema of their own yet.
var types = map[string]any{
	"About":         client.About{},
	"Attempt":       client.Attempt{},
	"Attempts":      client.Attempts{},
	"Breaker":       client.Breaker{},
	"BulkLine":      client.BulkLine{},
	"Cancel":        client.Cancel{},
	"Cancelled":     client.Cancelled{},
	"Collection":    client.Collection{},
	"Collections":   client.Collections{},
	"DB":            client.DB{},
	"DBs":           client.DBs{},
	"Discarded":     client.Discarded{},
	"Entries":       client.Entries{},
	"Error":         client.Error{},
	"IssuedToken":   client.IssuedToken{},
	"Job":           client.Job{},
	"JobChange":     client.JobChange{},
	"Jobs":          client.Jobs{},
	"Letter":        client.Letter{},
	"LetterFilter":  client.LetterFilter{},
	"Letters":       client.Letters{},
	"ListedJob":     client.ListedJob{},
	"ListedLetter":  client.ListedLetter{},
	"ListedToken":   client.ListedToken{},
	"NewJob":        client.NewJob{},
	"NewRoute":      client.NewRoute{},
	"NewToken":      client.NewToken{},
	"OK":            client.OK{},
	"Pause":         client.Pause{},
	"RateLimit":     client.RateLimit{},
	"Ready":         client.Ready{},
	"Redriven":      client.Redriven{},
	"Restored":      client.Restored{},
	"Retry":         client.Retry{},
	"Rotated":       client.Rotated{},
	"Rotation":      client.Rotation{},
	"Route":         client.Route{},
	"RouteChange":   client.RouteChange{},
	"RouteSettings": client.RouteSettings{},
	"Routes":        client.Routes{},
	"Skip":          client.Skip{},
	"Tokens":        client.Tokens{},
}

// queries are the Go types of the query strings, by operation.
var queries = map[string]any{
	"listJobs":           client.JobQuery{},
	"listCollectionJobs": client.JobQuery{},
	"listRoutes":         client.PageQuery{},
	"listDBs":            client.PageQuery{},
	"listCollections":    client.PageQuery{},
	"listDead":           client.LetterQuery{},
}

// words are the constants of the types that have some.
var words = map[reflect.Type][]string{
	reflect.TypeFor[client.Status](): {
		string(client.StatusScheduled), string(client.StatusFiring), string(client.StatusRetrying), string(client.StatusDelivered),
		string(client.StatusPublished), string(client.StatusDead), string(client.StatusExpired), string(client.StatusCancelled),
	},
	reflect.TypeFor[client.RouteType]():    {string(client.REST), string(client.NATS)},
	reflect.TypeFor[client.Role]():         {string(client.RoleReader), string(client.RoleWriter), string(client.RoleAdmin)},
	reflect.TypeFor[client.BreakerState](): {string(client.BreakerOpen), string(client.BreakerHalfOpen)},
}

// schema is the part of an openapi.json schema that the test reads.
type schema struct {
	Ref        string            `json:"$ref"`
	Type       any               `json:"type"` // a string, or a list of them
	Const      any               `json:"const"`
	Enum       []string          `json:"enum"`
	Items      *schema           `json:"items"`
	Properties map[string]schema `json:"properties"`
	Required   []string          `json:"required"`
	AllOf      []schema          `json:"allOf"`
	OneOf      []schema          `json:"oneOf"`
	AnyOf      []schema          `json:"anyOf"`

	Description string `json:"description"`
}

type media map[string]struct {
	Schema schema `json:"schema"`
}

// document is the part of openapi.json that the test reads.
type document struct {
	Paths map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Parameters  []struct {
			In, Name string
			Schema   schema
		}
		RequestBody struct{ Content media }
		Responses   map[string]struct{ Content media }
	}
	Components struct{ Schemas map[string]schema }
}

func openapi(t *testing.T) document {
	t.Helper()
	data, err := os.ReadFile("../openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

const refPrefix = "#/components/schemas/"

// whole returns a schema merged with the schemas it refers to and its parts.
func (d document) whole(s schema) schema {
	for s.Ref != "" {
		s = d.Components.Schemas[strings.TrimPrefix(s.Ref, refPrefix)]
	}
	all := schema{Type: s.Type, Const: s.Const, Enum: s.Enum, Items: s.Items, OneOf: append(s.OneOf, s.AnyOf...), Required: s.Required, Description: s.Description}
	all.Properties = map[string]schema{}
	for name, p := range s.Properties {
		all.Properties[name] = p
	}
	for _, part := range s.AllOf {
		part = d.whole(part)
		for name, p := range part.Properties {
			all.Properties[name] = p
		}
		all.Required = append(slices.Clip(all.Required), part.Required...)
		if all.Type == nil {
			all.Type = part.Type
		}
	}
	return all
}

// kinds returns the JSON types that a schema accepts; none means all of them.
func (d document) kinds(s schema) (all []string) {
	s = d.whole(s)
	switch kind := s.Type.(type) {
	case string:
		all = append(all, kind)
	case []any:
		for _, k := range kind {
			all = append(all, k.(string))
		}
	}
	if _, ok := s.Const.(string); ok && len(all) == 0 {
		all = append(all, "string")
	}
	if len(all) == 0 {
		for _, one := range s.OneOf {
			all = append(all, d.kinds(one)...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// fieldsOf returns the fields of a struct by their names in JSON, including the fields
// of embedded structs.
func fieldsOf(t reflect.Type) map[string]reflect.StructField {
	all := map[string]reflect.StructField{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "-" {
			continue
		}
		all[name] = f
	}
	return all
}

// reporter receives the differences.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

// held checks a Go type against a schema.
func (d document) held(t reporter, at string, s schema, goType reflect.Type) {
	t.Helper()
	s = d.whole(s)
	for goType.Kind() == reflect.Pointer {
		goType = goType.Elem()
	}
	if all := words[goType]; len(s.Enum) > 0 || all != nil {
		if diff := cmp.Diff(s.Enum, all); diff != "" {
			t.Errorf("%s: the words of openapi.json (-) and of %v (+) differ:\n%s", at, goType, diff)
		}
	}
	kind, ok := goType.Kind(), false
	switch kinds := strings.Join(d.kinds(s), " "); kinds {
	case "":
		ok = goType == reflect.TypeFor[json.RawMessage]()
	case "string", "null string": // "" is null
		ok = kind == reflect.String
	case "integer string":
		ok = goType == reflect.TypeFor[client.FinalStatus]()
	case "integer":
		ok = kind == reflect.Int || kind == reflect.Int64 || kind == reflect.Uint64
		if strings.Contains(s.Description, "nix milliseconds") || strings.HasSuffix(at, "_ms") || strings.HasSuffix(at, "_ms[]") {
			ok = kind == reflect.Int64
		}
	case "number":
		ok = kind == reflect.Float64
	case "boolean":
		ok = kind == reflect.Bool
	case "array":
		if ok = kind == reflect.Slice && s.Items != nil; ok {
			d.held(t, at+"[]", *s.Items, goType.Elem())
		}
	case "object":
		if len(s.Properties) == 0 {
			ok = goType == reflect.TypeFor[map[string]string]()
		} else if ok = kind == reflect.Struct; ok {
			d.heldFields(t, at, s, goType)
		}
	}
	if !ok {
		t.Errorf("%s is %v in openapi.json, and %v in Go", at, d.kinds(s), goType)
	}
}

// heldFields checks a struct against the properties of a schema.
func (d document) heldFields(t reporter, at string, s schema, goType reflect.Type) {
	t.Helper()
	fields := fieldsOf(goType)
	for name := range fields {
		if _, ok := s.Properties[name]; !ok {
			t.Errorf("%s: openapi.json has no property %q, which %v has", at, name, goType)
		}
	}
	for name, property := range s.Properties {
		f, ok := fields[name]
		if !ok {
			t.Errorf("%s: %v has no field %q, which openapi.json has", at, goType, name)
			continue
		}
		inner := at + "." + name
		if !strings.EqualFold(f.Name, strings.ReplaceAll(name, "_", "")) && inner != "Error.error" {
			t.Errorf("%s: the field is named %s", inner, f.Name)
		}
		_, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if required := slices.Contains(s.Required, name); required != (options == "") {
			t.Errorf("%s: required is %v in openapi.json, and the tag is %q", inner, required, f.Tag)
		}
		d.held(t, inner, property, f.Type)
	}
}

// Every schema has a Go type with the same fields, and every request and answer has
// a schema.
func TestTypesAreThoseOfOpenAPI(t *testing.T) {
	t.Parallel()
	d := openapi(t)
	inOthers := []string{"Attempt", "Breaker", "Collection", "DB", "Entries", "ListedLetter", "ListedToken", "RateLimit", "Retry", "Skip"}
	for name := range types {
		if _, ok := d.Components.Schemas[name]; ok == slices.Contains(inOthers, name) {
			t.Errorf("the type %s has a schema of its own: %v; want %v", name, ok, !ok)
		}
	}
	for name, s := range d.Components.Schemas {
		if value, ok := types[name]; ok {
			d.held(t, name, s, reflect.TypeOf(value))
		} else if slices.Contains(d.kinds(s), "object") {
			t.Errorf("the schema %s has no Go type", name)
		}
	}
	bodies := 0
	for path, methods := range d.Paths {
		for method, op := range methods {
			contents := map[string]media{"request": op.RequestBody.Content}
			for status, r := range op.Responses {
				contents[status] = r.Content
			}
			for of, content := range contents {
				for kind, body := range content {
					s := body.Schema
					if s.Items != nil {
						s = *s.Items
					}
					if d.whole(s); len(d.whole(s).Properties) == 0 {
						continue
					}
					bodies++
					if types[strings.TrimPrefix(s.Ref, refPrefix)] == nil {
						t.Errorf("%s %s: the %s of %s has no Go type", method, path, of, kind)
					}
				}
			}
		}
	}
	if bodies < 40 {
		t.Errorf("openapi.json has %d requests and answers, want more", bodies)
	}
}

// Every query has a Go type with the same fields.
func TestQueriesAreThoseOfOpenAPI(t *testing.T) {
	t.Parallel()
	d := openapi(t)
	seen := 0
	for path, methods := range d.Paths {
		for method, op := range methods {
			query := schema{Properties: map[string]schema{}}
			for _, p := range op.Parameters {
				if p.In == "query" {
					query.Properties[p.Name] = p.Schema
				}
			}
			value, ok := queries[op.OperationID]
			if ok {
				seen++
				d.heldFields(t, op.OperationID, query, reflect.TypeOf(value))
			} else if len(query.Properties) > 0 {
				t.Errorf("the query of %s %s has no Go type", method, path)
			}
		}
	}
	if seen != len(queries) {
		t.Errorf("openapi.json has %d of the %d queries", seen, len(queries))
	}
}

// Each kind of difference is detected.
func TestDifferencesAreSeen(t *testing.T) {
	t.Parallel()
	var d document
	const good = `{"type":"object","properties":{"db":{"type":"string"},"jobs":{"type":"integer"},"routes":{"type":"integer"}},"required":["db","jobs","routes"]}`
	for name, text := range map[string]string{
		"a property more":    strings.Replace(good, `"db":`, `"more":{"type":"string"},"db":`, 1),
		"a property less":    strings.Replace(good, `"db":{"type":"string"},`, ``, 1),
		"another type":       strings.Replace(good, `"integer"`, `"string"`, 1),
		"not required":       strings.Replace(good, `["db",`, `[`, 1),
		"words":              strings.Replace(good, `"string"`, `"string","enum":["a"]`, 1),
		"a list":             strings.Replace(good, `"string"`, `"array","items":{"type":"string"}`, 1),
		"a name of its own":  strings.Replace(strings.Replace(good, `"db":`, `"other":`, 1), `["db",`, `["other",`, 1),
		"an object in place": strings.Replace(good, `"string"`, `"object","properties":{"x":{}}`, 1),
	} {
		var s schema
		if err := json.Unmarshal([]byte(text), &s); err != nil || text == good {
			t.Fatalf("%s is %s: %v", name, text, err)
		}
		seen := differences(0)
		if d.held(&seen, name, s, reflect.TypeFor[client.DB]()); seen == 0 {
			t.Errorf("%s is not seen", name)
		}
	}
}

// differences counts the reported differences.
type differences int

func (*differences) Helper() {}

func (n *differences) Errorf(string, ...any) { *n++ }
