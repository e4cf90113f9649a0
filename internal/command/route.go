package command

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/urfave/cli/v3"

	"belfry/api/client"
	"belfry/internal/contract"
	"belfry/internal/job"
)

// aRoute lists the arguments that name a route.
var aRoute = []string{"DB", "ID"}

// routeCommand has the commands about routes.
func routeCommand(r remote) *cli.Command {
	fields := append([]cli.Flag{
		text("url", "URL", "of a REST route: where to post"),
	}, fieldFlags()...)
	return &cli.Command{
		Name:  "route",
		Usage: "create, look at, change and delete routes",
		Commands: []*cli.Command{
			r.command("add", "create a route", aRoute, append([]cli.Flag{
				text("type", "TYPE", "REST, which needs --url, or NATS; REST if there is a --url"),
				text("file", "FILE", "the route as JSON, as the API takes it, or - for standard input; flags go before what it says"),
			}, fields...), r.addRoute),
			r.command("get", "show a route", aRoute, nil, r.getRoute),
			r.command("ls", "list the routes of a db", []string{"DB"}, []cli.Flag{limitFlag()}, r.listRoutes),
			r.command("edit", "change the fields of a route that are given", aRoute, append([]cli.Flag{
				texts("unset", "FIELD", "a field of the JSON to remove, as in secret, headers, headers.X-Key or retry.max_age_ms"),
			}, fields...), r.editRoute),
			r.command("rm", "delete a route; its jobs die when they come due", aRoute, []cli.Flag{yes("force", forceUsage)}, r.deleteRoute),
			r.command("pause", "keep the jobs of a route from firing", aRoute, []cli.Flag{
				text("for", "DURATION", "for so long; until it is resumed if neither is given"),
				text("until", "TIME", "until then"),
			}, r.pauseRoute),
			r.command("resume", "let the jobs of a route fire again", aRoute, nil, r.resumeRoute),
			r.command("rotate", "give a route a new secret, and print it if it was made up", aRoute, []cli.Flag{
				text("secret", "SECRET", "the new one; @FILE and - for standard input keep it out of lists of processes"),
				text("grace", "DURATION", "how long the old one signs, too; a day if it is left out"),
			}, r.rotateSecret),
		},
	}
}

// routePath is the path of the route or db that the arguments name, followed by more.
func routePath(cmd *cli.Command, more ...string) string {
	return client.Path(append(append([]string{"route"}, cmd.Args().Slice()...), more...)...)
}

func (r remote) addRoute(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	route := map[string]any{}
	if cmd.IsSet("file") {
		content, err := r.content(ctx, "--file", cmd.String("file"))
		if err != nil {
			return err
		}
		if route, err = object(json.RawMessage(content)); err != nil {
			return usagef("--file: %w; the JSON object of a route is accepted", err)
		}
	}
	id := cmd.Args().Get(1)
	if given, ok := route["id"]; ok && given != id {
		return usagef("--file: its id is not %q, as in the arguments; the same is accepted, or none", id)
	}
	if err := checkIDs("ID", id); err != nil {
		return err
	}
	route["id"] = id
	if err := r.setFields(ctx, cmd, route); err != nil {
		return err
	}
	if cmd.IsSet("type") {
		route["type"] = strings.ToUpper(cmd.String("type"))
	} else if _, ok := route["type"]; !ok {
		if _, ok := route["webhook_url"]; !ok {
			return usagef("--url is missing, or --type NATS for a route of subscribers")
		}
		route["type"] = job.REST
	}
	answer, err := c.Do(ctx, http.MethodPost, client.Path("route", cmd.Args().First()), route)
	if err != nil {
		return err
	}
	return r.done(cmd, answer, "added %s", id)
}

// editRoute puts the current route with the given fields changed, if nobody has
// changed the route in between. Secrets that are not given stay.
func (r remote) editRoute(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	given := map[string]any{}
	if err := r.setFields(ctx, cmd, given); err != nil {
		return err
	}
	if len(given) == 0 && !cmd.IsSet("unset") {
		return usagef("there is nothing to change; see \"%s --help\"", cmd.FullName())
	}
	answer, etag, err := c.Get(ctx, routePath(cmd))
	if err != nil {
		return err
	}
	route, err := object(answer)
	if err != nil {
		return unreadable(err)
	}
	for _, name := range contract.RouteAnswerOnly() {
		delete(route, name) // a request may contain it, but it cannot be unset
	}
	for _, name := range cmd.StringSlice("unset") {
		if !unset(route, name) {
			return usagef("--unset %q: the route does not have it; a field that \"belfry route get\" shows is accepted", name)
		}
	}
	if err := r.setFields(ctx, cmd, route); err != nil {
		return err
	}
	if answer, err = c.Change(ctx, http.MethodPut, routePath(cmd), etag, route); err != nil {
		return err
	}
	return r.done(cmd, answer, "changed %s", cmd.Args().Get(1))
}

func (r remote) deleteRoute(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	if err := r.needsForce(cmd); err != nil {
		return err
	}
	id := cmd.Args().Get(1)
	if err := r.confirm(ctx, cmd, "Delete the route %s of %s? Its jobs die when they come due.", id, cmd.Args().First()); err != nil {
		return err
	}
	answer, err := c.Do(ctx, http.MethodDelete, routePath(cmd), nil)
	if err != nil {
		return err
	}
	return r.done(cmd, answer, "deleted %s", id)
}

func (r remote) pauseRoute(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	now, until := r.now(), int64(0)
	var err error
	switch {
	case cmd.IsSet("for") && cmd.IsSet("until"):
		return usagef("--for and --until exclude each other")
	case cmd.IsSet("for"):
		d, ok := parseDuration(cmd.String("for"))
		if !ok || d == 0 {
			return usagef("--for %q: %s", cmd.String("for"), durationAccepts)
		}
		until = now.Add(d).UnixMilli()
	case cmd.IsSet("until"):
		if until, err = r.moment(cmd, "until"); err != nil {
			return err
		}
	}
	how := "until it is resumed"
	if until != 0 {
		how = "until " + momentAndDistance(until, now)
	}
	answer, err := c.Do(ctx, http.MethodPost, routePath(cmd, "pause"), client.Pause{PausedUntil: until})
	if err != nil {
		return err
	}
	return r.done(cmd, answer, "paused %s %s", cmd.Args().Get(1), how)
}

func (r remote) resumeRoute(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	answer, err := c.Do(ctx, http.MethodPost, routePath(cmd, "resume"), nil)
	if err != nil {
		return err
	}
	return r.done(cmd, answer, "resumed %s", cmd.Args().Get(1))
}

// object reads a JSON object and keeps its numbers as they are written.
func object(data json.RawMessage) (map[string]any, error) {
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.UseNumber()
	var o map[string]any
	err := d.Decode(&o)
	switch {
	case err == nil && o == nil:
		err = fmt.Errorf("it is null")
	case err == nil && d.More():
		err = fmt.Errorf("it goes on behind the object")
	}
	return o, err
}
