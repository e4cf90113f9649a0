package command

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/urfave/cli/v3"

	"belfry/api/client"
)

func statusCommand(r remote) *cli.Command {
	return r.command("status", "show the server, whether it can store and fire, and how much is in its dbs, or in the collections of one",
		[]string{"[DB]"}, []cli.Flag{yes("quiet", "print nothing, and ask only whether it can store and fire: for health checks, by the exit code"),
			yes("alive", "as --quiet, and ask only whether its process is alive, also while it starts or waits for NATS")}, r.status)
}

// status shows the server's state. It returns an error afterwards if the server is
// not ready.
func (r remote) status(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	if cmd.Bool("alive") {
		_, err := c.Do(ctx, http.MethodGet, client.Path("healthz"), nil)
		return err
	}
	if cmd.Bool("quiet") {
		_, err := c.Do(ctx, http.MethodGet, client.Path("readyz"), nil)
		return err
	}
	answer, err := c.Do(ctx, http.MethodGet, "/", nil)
	if err != nil {
		return err
	}
	var server client.About
	if err := json.Unmarshal(answer, &server); err != nil {
		return unreadable(err)
	}
	var health client.Ready
	answer, notReady := c.Do(ctx, http.MethodGet, client.Path("readyz"), nil)
	if notReady == nil {
		if err := json.Unmarshal(answer, &health); err != nil {
			return unreadable(err)
		}
	}
	if cmd.Bool("json") {
		said := map[string]any{"version": server.Version, "ready": notReady == nil}
		if notReady != nil {
			said["reason"] = notReady.Error()
		}
		if len(health.Warnings) > 0 {
			said["warnings"] = health.Warnings
		}
		line, err := json.Marshal(said)
		if err != nil {
			return err
		}
		if err := r.raw(line); err != nil {
			return err
		}
	} else {
		ready := "yes"
		if notReady != nil {
			ready = "no: " + notReady.Error()
		}
		facts := [][]string{{"Server", server.Name + " " + server.Version}, {"Ready", ready}}
		for _, w := range health.Warnings {
			facts = append(facts, []string{"Warning", w})
		}
		if err := r.facts(facts); err != nil {
			return err
		}
	}
	if notReady != nil {
		return notReady
	}
	err = r.listPlaces(ctx, cmd, c)
	var refused *client.Error
	if errors.As(err, &refused) && refused.Status == http.StatusForbidden && !cmd.Args().Present() {
		r.note("the token is not for all dbs; \"%s DB\" shows one of its own", cmd.FullName())
		return nil
	}
	return err
}

// listPlaces lists the dbs, or the collections of the named db.
func (r remote) listPlaces(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	if !cmd.Bool("json") {
		if err := r.line(""); err != nil {
			return err
		}
	}
	q := client.PageQuery{Limit: pageSize(0)}.Values()
	if db := cmd.Args().First(); db != "" {
		return list(ctx, r, cmd, c, listing[client.Collection]{
			path: client.Path("db", db), query: q, field: "collections", what: "collections",
			header: []string{"COLLECTION", "JOBS"},
			row:    func(p client.Collection) []string { return []string{p.Collection, strconv.FormatUint(p.Jobs, 10)} },
		}, 0)
	}
	return list(ctx, r, cmd, c, listing[client.DB]{
		path: client.Path("db"), query: q, field: "dbs", what: "dbs",
		header: []string{"DB", "JOBS", "ROUTES"},
		row: func(p client.DB) []string {
			return []string{p.DB, strconv.FormatUint(p.Jobs, 10), strconv.Itoa(p.Routes)}
		},
	}, 0)
}
