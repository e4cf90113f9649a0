package api

import (
	"fmt"
	"strings"

	"belfry/internal/job"
)

// need is what a request must come with while authentication is on.
type need struct {
	role  job.Role // at least this one, for the db in the path, or for all dbs if it has none
	token bool     // false: nothing at all
}

var (
	open     = need{}
	anyToken = need{token: true}
	reader   = need{job.Reader, true}
	writer   = need{job.Writer, true}
	admin    = need{job.Admin, true}
)

// accessRow is an endpoint, method and pattern, and what it needs. HEAD is
// like GET.
type accessRow struct {
	endpoint string
	need     need
}

// accessTable has a row for every endpoint there is. One without is refused to
// everybody; a test walks the router and looks.
var accessTable = []accessRow{
	{"GET /healthz", open},
	{"GET /readyz", open},
	{"GET /metrics", reader},
	{"GET /", open},
	{"GET /docs", open},
	{"GET /openapi.json", open},

	{"GET /job/{db}", reader},
	{"GET /job/{db}/{collection}", reader},
	{"GET /route/{db}", reader},
	{"GET /db", reader},
	{"GET /db/{db}", reader},
	{"POST /cancel/{db}", writer},
	{"POST /cancel/{db}/{collection}", writer},
	{"POST /bulk/{db}/{collection}", writer},

	{"POST /job/{db}/{collection}", writer},
	{"GET /job/{db}/{collection}/{id}", reader},
	{"PUT /job/{db}/{collection}/{id}", writer},
	{"DELETE /job/{db}/{collection}/{id}", writer},
	{"POST /job/{db}/{collection}/{id}/fire", writer},
	{"GET /job/{db}/{collection}/{id}/attempts", reader},

	{"POST /route/{db}", writer},
	{"GET /route/{db}/{id}", reader},
	{"PUT /route/{db}/{id}", writer},
	{"DELETE /route/{db}/{id}", writer},
	{"POST /route/{db}/{id}/rotate", writer},
	{"POST /route/{db}/{id}/pause", writer},
	{"POST /route/{db}/{id}/resume", writer},

	{"GET /dead/{db}", reader},
	{"GET /dead/{db}/{sequence}", reader},
	{"POST /dead/{db}/redrive", writer},
	{"POST /dead/{db}/{sequence}/redrive", writer},
	{"POST /dead/{db}/discard", writer},
	{"DELETE /dead/{db}/{sequence}", writer},

	{"POST /token", admin},
	{"GET /token", admin},
	{"DELETE /token/{id}", admin},

	{"GET /backup", admin},
	{"POST /restore", admin},

	// Those that only say that an id is empty.
	{"GET /job/{db}/{collection}/", reader},
	{"PUT /job/{db}/{collection}/", writer},
	{"DELETE /job/{db}/{collection}/", writer},
	{"GET /route/{db}/", reader},
	{"PUT /route/{db}/", writer},
	{"DELETE /route/{db}/", writer},
	{"DELETE /token/", admin},
}

// access is accessTable by endpoint.
var access = func() map[string]need {
	byEndpoint := make(map[string]need, len(accessTable))
	for _, row := range accessTable {
		byEndpoint[row.endpoint] = row.need
	}
	return byEndpoint
}()

// emptyID reports whether the endpoint only says that an id is empty.
func (r accessRow) emptyID() bool {
	path := strings.Fields(r.endpoint)[1]
	return path != "/" && strings.HasSuffix(path, "/")
}

// Endpoints returns what there is to ask for, as in "GET /job/{db}".
func Endpoints() []string {
	var all []string
	for _, row := range accessTable {
		if !row.emptyID() {
			all = append(all, row.endpoint)
		}
	}
	return all
}

// AccessMarkdown returns the table as the documentation prints it.
func AccessMarkdown() string {
	var b strings.Builder
	b.WriteString("| endpoint | needs |\n|---|---|\n")
	for _, row := range accessTable {
		if row.emptyID() {
			continue
		}
		needs := string(row.need.role)
		if row.need == open {
			needs = "nothing"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", row.endpoint, needs)
	}
	return b.String()
}
