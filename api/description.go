package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
)

// openapi is the description of this API; the tests hold the API to it.
//
//go:embed openapi.json
var openapi []byte

// OpenAPI returns the OpenAPI 3.1 description of the API, in JSON.
func OpenAPI() []byte { return bytes.Clone(openapi) }

// The parts of the description that the documents show.
type (
	description struct {
		Info struct{ Title, Summary, Description string }
		Tags []struct{ Name string }

		Paths      map[string]map[string]describedOperation
		Components struct{ Schemas map[string]schema }
	}
	describedOperation struct {
		Summary, OperationID string
		Tags                 []string
		Parameters           []struct{ Name, In, Description string }
		RequestBody          content
		Responses            map[string]content
		Security             []map[string][]string

		Method, Path string
	}
	content struct {
		Content map[string]struct{ Schema schema }
	}
	schema struct {
		Ref         string `json:"$ref"`
		Description string
		Type        any
		Enum        []string
		Properties  map[string]schema
		Required    []string
		Items       *schema
		OneOf       []struct{ Const, Title, Description string }
		AllOf       []schema
	}
	group struct {
		Name       string
		Operations []describedOperation
	}
	namedSchema struct {
		schema
		Name   string
		Fields []field
	}
	field struct {
		Name, Type, Description string
		Required                bool
	}
)

// described is the description, parsed once.
var described = sync.OnceValue(func() (d description) {
	if err := json.Unmarshal(openapi, &d); err != nil {
		panic(err) // it is embedded, so it is valid
	}
	return d
})

// EndpointsMarkdown returns the endpoints as the README prints them, each with its
// summary in the description.
func EndpointsMarkdown() string {
	var b strings.Builder
	b.WriteString("| endpoint | does |\n|---|---|\n")
	for _, e := range endpoints {
		op := described().Paths[e.pattern()][strings.ToLower(e.method())]
		fmt.Fprintf(&b, "| `%s` | %s |\n", e.documented(), op.Summary)
	}
	return b.String()
}

// objects lists the schemas with their fields. A schema that is only a part of others
// is shown in those.
func (d description) objects() (all []namedSchema) {
	parts := map[string]bool{}
	for _, s := range d.Components.Schemas {
		for _, part := range s.AllOf {
			parts[path.Base(part.Ref)] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		if parts[name] {
			continue
		}
		s := d.whole(d.Components.Schemas[name])
		all = append(all, namedSchema{s, name, fieldsOf("", s)})
	}
	return all
}

// whole returns the schema with the fields of its parts; its own come first.
func (d description) whole(s schema) schema {
	fields := map[string]schema{}
	for _, part := range s.AllOf {
		if part.Ref != "" {
			part = d.Components.Schemas[path.Base(part.Ref)]
		}
		part = d.whole(part)
		maps.Copy(fields, part.Properties)
		s.Required = append(slices.Clip(s.Required), part.Required...)
	}
	maps.Copy(fields, s.Properties)
	s.Properties = fields
	return s
}

// fieldsOf lists the fields of an object, and of the objects in it.
func fieldsOf(prefix string, s schema) (all []field) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		all = append(all, field{prefix + name, p.kind(), p.Description, slices.Contains(s.Required, name)})
		if p.Items != nil {
			p = *p.Items
		}
		all = append(all, fieldsOf(prefix+name+".", p)...)
	}
	return all
}

func (s schema) kind() string {
	switch t := s.Type.(type) {
	case string:
		if s.Items != nil {
			return "array of " + s.Items.kind()
		}
		return t
	case []any:
		var all []string
		for _, one := range t {
			all = append(all, one.(string))
		}
		return strings.Join(all, " or ")
	}
	if s.Ref == "" {
		return "any"
	}
	return path.Base(s.Ref)
}

// Query lists the parameters that are not in the path.
func (o describedOperation) Query() (all []field) {
	for _, p := range o.Parameters {
		if p.In == "query" {
			all = append(all, field{Name: p.Name, Description: p.Description})
		}
	}
	return all
}

// Body and Answer name the objects that the operation takes and returns.
func (o describedOperation) Body() []string   { return o.RequestBody.names() }
func (o describedOperation) Answer() []string { return o.Responses["200"].names() }

// Role is the role of the token that the operation needs; empty for none.
func (o describedOperation) Role() string {
	for _, scheme := range o.Security {
		for _, role := range scheme["bearer"] {
			return role
		}
	}
	return ""
}

func (c content) names() (all []string) {
	for _, media := range c.Content {
		s := media.Schema
		if s.Items != nil {
			s = *s.Items
		}
		if name := path.Base(s.Ref); s.Ref != "" && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}
