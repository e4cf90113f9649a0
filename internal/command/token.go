package command

import (
	"context"
	"net/http"
	"strings"

	"github.com/urfave/cli/v3"

	"belfry/api/client"
	"belfry/internal/job"
)

// listedToken is a token as the API shows it.
type listedToken struct {
	Token       string   `json:"token"` // of a new one only
	ID          string   `json:"id"`
	Role        job.Role `json:"role"`
	AllDBs      bool     `json:"all_dbs"`
	DBs         []string `json:"dbs"`
	Description string   `json:"description"`
	Created     int64    `json:"created_time"`
	Expires     int64    `json:"expires_time"`
	EndsWith    string   `json:"ends_with"`
}

func (t listedToken) dbs() string {
	if t.AllDBs {
		return "(all)"
	}
	return strings.Join(t.DBs, ",")
}

// tokenCommand has the commands about bearer tokens, for admins.
func tokenCommand(r remote) *cli.Command {
	return &cli.Command{
		Name:  "token",
		Usage: "make, list and revoke bearer tokens",
		Commands: []*cli.Command{
			r.command("create", "make a token and print it, this once", nil, []cli.Flag{
				text("role", "ROLE", "what it may do: reader, writer or admin"),
				texts("db", "DB", "a db that it is for"),
				yes("all-dbs", "it is for all dbs, as an admin's always is"),
				text("expires", "DURATION", "how long it is good, as in 30d; for ever if it is left out"),
				text("description", "TEXT", "what it is for"),
			}, r.createToken),
			r.command("ls", "list the tokens", nil, nil, r.listTokens),
			r.command("rm", "revoke a token", []string{"ID"}, nil, r.revokeToken),
		},
	}
}

func (r remote) createToken(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	asked := map[string]any{"role": cmd.String("role")}
	if dbs := cmd.StringSlice("db"); len(dbs) > 0 {
		asked["dbs"] = dbs
	}
	if cmd.Bool("all-dbs") {
		asked["all_dbs"] = true
	}
	if text := cmd.String("description"); text != "" {
		asked["description"] = text
	}
	if text := cmd.String("expires"); text != "" {
		d, ok := parseDuration(text)
		if !ok || d <= 0 {
			return usagef("--expires %q: a duration above zero is accepted, as in 720h or 30d", text)
		}
		asked["expires_time"] = r.now().Add(d).UnixMilli()
	}
	answer, err := c.Do(ctx, http.MethodPost, client.Path("token"), asked)
	if err != nil {
		return advise(err, `there may be a token now that nobody has seen: "belfry token ls" shows it, and "belfry token rm" revokes it`)
	}
	var t listedToken
	return r.show(cmd, answer, &t, func() error {
		// Apart from the token, so that a script can take that alone.
		r.note("token %s: %s of %s; it is not shown again", t.ID, t.Role, t.dbs())
		return r.line("%s", t.Token)
	})
}

func (r remote) listTokens(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	now := r.now()
	return list(ctx, r, cmd, c, listing[listedToken]{
		path: client.Path("token"), field: "tokens", what: "tokens",
		header: []string{"ID", "ROLE", "DBS", "ENDS WITH", "CREATED", "EXPIRES", "DESCRIPTION"},
		row: func(t listedToken) []string {
			return []string{t.ID, string(t.Role), t.dbs(), t.EndsWith, moment(t.Created, now), moment(t.Expires, now), t.Description}
		},
	}, 0)
}

func (r remote) revokeToken(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	id := cmd.Args().First()
	answer, err := c.Do(ctx, http.MethodDelete, client.Path("token", id), nil)
	if err != nil {
		return err
	}
	return r.done(cmd, answer, "revoked %s", id)
}
