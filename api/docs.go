package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// openapi is the description of this API; the tests hold the API to it.
//
//go:embed openapi.json
var openapi []byte

//go:embed docs.html
var docsHTML string

// OpenAPI returns the OpenAPI 3.1 description of the API, in JSON.
func OpenAPI() []byte { return bytes.Clone(openapi) }

// describe serves the description, and docs the page made of it.
func (a *api) describe(w http.ResponseWriter, r *http.Request) {
	reply(w, r, http.StatusOK, bytes.TrimSuffix(openapi, []byte("\n")))
}

func (a *api) docs(w http.ResponseWriter, _ *http.Request) { replyHTML(w, docsPage()) }

// links are where people go on from /.
var links = []string{"docs", "openapi.json", "db", "healthz", "readyz"}

var aboutPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Belfry</title>
<body style="font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; color-scheme: light dark">
<h1>Belfry</h1><p>A durable timer service, version {{.Version}}.</p>
<ul>{{range .Links}}<li><a href="{{.}}">{{.}}</a></li>{{end}}</ul>
</html>
`))

// about says what this is, in HTML to those who ask for it.
func (a *api) about(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Accept")
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		var page bytes.Buffer
		if err := aboutPage.Execute(&page, map[string]any{"Version": a.Version, "Links": links}); err != nil {
			a.refuse(w, r, err)
			return
		}
		replyHTML(w, page.Bytes())
		return
	}
	all := map[string]string{}
	for _, l := range links {
		all[l] = "/" + l
	}
	answer, err := json.Marshal(struct {
		Name    string            `json:"name"`
		Version string            `json:"version"`
		Links   map[string]string `json:"links"`
	}{"belfry", a.Version, all})
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	reply(w, r, http.StatusOK, answer)
}

func replyHTML(w http.ResponseWriter, page []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	w.Header().Set("Content-Length", strconv.Itoa(len(page)))
	w.Write(page) // fails when the client is gone, which is no one's loss
}

// What the page shows of the description.
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

// docsPage is the page at /docs, made once.
var docsPage = sync.OnceValue(func() []byte {
	var d description
	if err := json.Unmarshal(openapi, &d); err != nil {
		panic(err) // it is embedded
	}
	var groups []group
	for _, tag := range d.Tags {
		g := group{Name: tag.Name}
		for _, p := range slices.Sorted(maps.Keys(d.Paths)) {
			for _, method := range []string{"get", "post", "put", "delete"} {
				if op, ok := d.Paths[p][method]; ok && slices.Contains(op.Tags, tag.Name) {
					op.Method, op.Path = strings.ToUpper(method), p
					g.Operations = append(g.Operations, op)
				}
			}
		}
		groups = append(groups, g)
	}
	var page bytes.Buffer
	err := template.Must(template.New("").Parse(docsHTML)).Execute(&page, map[string]any{
		"Info": d.Info, "Groups": groups, "Schemas": d.objects(), "Codes": d.Components.Schemas["Code"].OneOf,
	})
	if err != nil {
		panic(err)
	}
	return page.Bytes()
})

// objects lists the schemas with their fields. One that is only a part of others
// is shown there.
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

// fieldsOf lists the fields of an object, and those of the objects in it.
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

// Query lists the parameters that stand in no path.
func (o describedOperation) Query() (all []field) {
	for _, p := range o.Parameters {
		if p.In == "query" {
			all = append(all, field{Name: p.Name, Description: p.Description})
		}
	}
	return all
}

// Body and Answer name the objects that the operation takes and gives.
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
