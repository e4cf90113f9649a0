package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed docs.html
var docsHTML string

// describe serves the description, and docs the page made from it.
func (a *api) describe(w http.ResponseWriter, r *http.Request) {
	reply(w, r, http.StatusOK, bytes.TrimSuffix(openapi, []byte("\n")))
}

func (a *api) docs(w http.ResponseWriter, _ *http.Request) { replyHTML(w, docsPage()) }

// links are the pages that / points to.
var links = []string{"docs", "openapi.json", "db", "healthz", "readyz"}

var aboutPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Belfry</title>
<body style="font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; color-scheme: light dark">
<h1>Belfry</h1><p>A durable timer service, version {{.Version}}.</p>
<ul>{{range .Links}}<li><a href="{{.}}">{{.}}</a></li>{{end}}</ul>
</html>
`))

// about says what this server is, in HTML to clients that ask for it.
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
	w.Write(page) // fails only if the client is gone
}

// docsPage is the page at /docs, made once.
var docsPage = sync.OnceValue(func() []byte {
	d := described()
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
