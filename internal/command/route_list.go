package command

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"belfry/api/client"
)

// state says whether the jobs of a route fire.
func state(s client.Route, now time.Time) string {
	switch {
	case s.Paused:
		return "paused"
	case s.PausedUntil > now.UnixMilli():
		return "paused, ends " + distance(s.PausedUntil, now)
	case s.Breaker.State != "" && s.Breaker.Until > now.UnixMilli():
		return "breaker " + string(s.Breaker.State) + ", tries again " + distance(s.Breaker.Until, now)
	case s.Breaker.State != "":
		return "breaker " + string(s.Breaker.State)
	}
	return "fires"
}

func (r remote) listRoutes(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	most, err := limit(cmd)
	if err != nil {
		return err
	}
	return list(ctx, r, cmd, c, listing[client.Route]{
		path: routePath(cmd), query: client.PageQuery{Limit: pageSize(most)}.Values(), field: "routes", what: "routes",
		header: []string{"ID", "TYPE", "STATE", "TARGET"},
		row: func(s client.Route) []string {
			return []string{s.ID, string(s.Type), state(s, r.now()), s.WebhookURL + s.Subject}
		},
	}, most)
}

func (r remote) getRoute(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	answer, err := c.Do(ctx, http.MethodGet, routePath(cmd), nil)
	if err != nil {
		return err
	}
	var s client.Route
	return r.show(cmd, answer, &s, func() error {
		o, err := object(answer)
		if err != nil {
			return unreadable(err)
		}
		rows := [][]string{{"state", state(s, r.now())}}
		return r.facts(append(r.fields("", o), rows...))
	})
}

// what lists the fields that identify a route, the most important last.
var what = []string{"webhook_url", "type", "id"}

// fields lists the fields of a route by their names in the API, with a dot for those
// inside objects: first the fields in what, then the others by name.
func (r remote) fields(prefix string, o map[string]any) [][]string {
	var rows [][]string
	names := slices.Sorted(maps.Keys(o))
	slices.SortStableFunc(names, func(a, b string) int { return slices.Index(what, b) - slices.Index(what, a) })
	for _, name := range names {
		if inner, ok := o[name].(map[string]any); ok {
			rows = append(rows, r.fields(prefix+name+".", inner)...)
			continue
		}
		rows = append(rows, []string{prefix + name, r.fieldText(name, o[name])})
	}
	return rows
}

func (r remote) fieldText(name string, value any) string {
	if n, ok := value.(json.Number); ok {
		ms, err := n.Int64()
		switch {
		case err == nil && strings.HasSuffix(name, "_ms"):
			return (time.Duration(ms) * time.Millisecond).String()
		case err == nil && strings.HasSuffix(name, "until"):
			return momentAndDistance(ms, r.now())
		}
	}
	if s, ok := value.(string); ok {
		return s
	}
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(data)
}
