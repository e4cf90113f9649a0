package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"belfry/internal/metrics"
)

// The dashboard is one that Grafana can load, and shows every metric.
func TestDashboard(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../docs/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Title  string `json:"title"`
		Panels []struct {
			ID      int    `json:"id"`
			Type    string `json:"type"`
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(data, &dashboard); err != nil || dashboard.Title != "Belfry" {
		t.Fatalf("docs/grafana.json: title %q, %v", dashboard.Title, err)
	}
	var all strings.Builder
	seen := map[int]bool{}
	for _, p := range dashboard.Panels {
		if seen[p.ID] || p.Title == "" || (p.Type == "row") != (len(p.Targets) == 0) {
			t.Errorf("panel %d, %q, of type %s: %d queries, or its id is used twice", p.ID, p.Title, p.Type, len(p.Targets))
		}
		seen[p.ID] = true
		for _, query := range p.Targets {
			all.WriteString(query.Expr + "\n")
			if strings.Count(query.Expr, "(") != strings.Count(query.Expr, ")") || !strings.Contains(query.Expr, `job=~"$job"`) {
				t.Errorf("panel %q: query %s", p.Title, query.Expr)
			}
		}
	}
	for _, m := range metrics.New(metrics.Build{}).Table() {
		if !strings.Contains(all.String(), m.Name) {
			t.Errorf("the dashboard does not show %s", m.Name)
		}
	}
}
