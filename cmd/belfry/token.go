package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"belfry/internal/client"
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
				flag{&cli.StringFlag{Name: "role", Usage: "what it may do: reader, writer or admin"}, "ROLE"},
				list{&cli.StringSliceFlag{Name: "db", Usage: "a db that it is for; may be repeated"}, "DB"},
				&cli.BoolFlag{Name: "all-dbs", Usage: "it is for all dbs, as an admin's always is", HideDefault: true},
				flag{&cli.StringFlag{Name: "expires", Usage: "how long it is good, as in 720h; for ever if it is left out"}, "DURATION"},
				flag{&cli.StringFlag{Name: "description", Usage: "what it is for"}, "TEXT"},
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
		d, ok := duration(text)
		if !ok || d <= 0 {
			return fmt.Errorf("--expires %q: a duration above zero is accepted, as in 720h", text)
		}
		asked["expires_time"] = time.Now().Add(d).UnixMilli()
	}
	answer, err := c.Do(ctx, http.MethodPost, client.Path("token"), asked)
	if err != nil {
		return err
	}
	var t listedToken
	return r.show(cmd, answer, &t, func() error {
		// Apart from the token, so that a script can take that alone.
		_, err := fmt.Fprintf(r.stderr, "token %s: %s of %s; it is not shown again\n", t.ID, t.Role, t.dbs())
		_, err2 := fmt.Fprintln(r.stdout, t.Token)
		return errors.Join(err, err2)
	})
}

func (r remote) listTokens(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	answer, err := c.Do(ctx, http.MethodGet, client.Path("token"), nil)
	if err != nil {
		return err
	}
	var all struct{ Tokens []listedToken }
	return r.show(cmd, answer, &all, func() error {
		rows := [][]string{{"ID", "ROLE", "DBS", "ENDS WITH", "CREATED", "EXPIRES", "DESCRIPTION"}}
		for _, t := range all.Tokens {
			rows = append(rows, []string{t.ID, string(t.Role), t.dbs(), t.EndsWith, moment(t.Created), moment(t.Expires), t.Description})
		}
		return r.table(rows)
	})
}

func (r remote) revokeToken(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	id := cmd.Args().First()
	if id == "" {
		return errors.New("ID is empty; \"belfry token ls\" shows them")
	}
	answer, err := c.Do(ctx, http.MethodDelete, client.Path("token", id), nil)
	if err != nil {
		return err
	}
	return r.show(cmd, answer, &struct{}{}, func() error {
		_, err := fmt.Fprintln(r.stdout, "revoked", id)
		return err
	})
}
