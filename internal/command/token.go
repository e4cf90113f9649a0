package command

import (
	"context"
	"net/http"
	"strings"

	"github.com/urfave/cli/v3"

	"belfry/api/client"
)

// dbsOf describes the dbs of a token.
func dbsOf(t client.ListedToken) string {
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
	asked := client.NewToken{
		Role: client.Role(cmd.String("role")), DBs: cmd.StringSlice("db"), AllDBs: cmd.Bool("all-dbs"), Description: cmd.String("description"),
	}
	if text := cmd.String("expires"); text != "" {
		d, ok := parseDuration(text)
		if !ok || d <= 0 {
			return usagef("--expires %q: a duration above zero is accepted, as in 720h or 30d", text)
		}
		asked.ExpiresTime = r.now().Add(d).UnixMilli()
	}
	answer, err := c.Do(ctx, http.MethodPost, client.Path("token"), asked)
	if err != nil {
		return advise(err, `there may be a token now that nobody has seen: "belfry token ls" shows it, and "belfry token rm" revokes it`)
	}
	var t client.IssuedToken
	return r.show(cmd, answer, &t, func() error {
		// The note is separate from the token, so that a script can read only the
		// token.
		r.note("token %s: %s of %s; it is not shown again", t.ID, t.Role, dbsOf(t.ListedToken))
		return r.line("%s", t.Token)
	})
}

func (r remote) listTokens(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	now := r.now()
	return list(ctx, r, cmd, c, listing[client.ListedToken]{
		path: client.Path("token"), field: "tokens", what: "tokens",
		header: []string{"ID", "ROLE", "DBS", "ENDS WITH", "CREATED", "EXPIRES", "DESCRIPTION"},
		row: func(t client.ListedToken) []string {
			return []string{t.ID, string(t.Role), dbsOf(t), t.EndsWith, moment(t.CreatedTime, now), moment(t.ExpiresTime, now), t.Description}
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
