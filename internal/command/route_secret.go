package command

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/urfave/cli/v3"

	"belfry/api/client"
	"belfry/internal/job"
)

// rotateSecret prints the new secret only if the server generated it, never one that
// was given.
func (r remote) rotateSecret(ctx context.Context, cmd *cli.Command, c *client.Client) error {
	secret, err := r.Secret(ctx, cmd)
	if err != nil {
		return err
	}
	body := client.Rotation{Secret: secret}
	if cmd.IsSet("grace") {
		d, ok := parseDuration(cmd.String("grace"))
		if !ok {
			return usagef("--grace %q: %s", cmd.String("grace"), durationAccepts)
		}
		body.GraceMS = new(d.Milliseconds())
	}
	answer, err := c.Do(ctx, http.MethodPost, routePath(cmd, "rotate"), body)
	switch {
	case err != nil && secret == "":
		return advise(err, "the route may have a secret now that nobody has seen: rotating once more makes one up that is shown")
	case err != nil:
		return err
	}
	if secret != "" && cmd.Bool("json") {
		if answer, err = hideSecret(answer); err != nil {
			return err
		}
	}
	var rotated client.Rotated
	return r.show(cmd, answer, &rotated, func() error {
		if rotated.OldSecretsUntil != 0 {
			r.note("the old secret signs, too, until %s", momentAndDistance(rotated.OldSecretsUntil, r.now()))
		}
		if rotated.PublicKey != "" {
			r.note("receivers verify with the public key %s", rotated.PublicKey)
		}
		if secret != "" {
			return r.line("rotated %s", cmd.Args().Get(1))
		}
		// The note is separate from the secret, so that a script can read only the
		// secret.
		r.note("the new secret of %s, which is not shown again:", cmd.Args().Get(1))
		return r.line("%s", rotated.Secret)
	})
}

func hideSecret(answer json.RawMessage) (json.RawMessage, error) {
	o, err := object(answer)
	if err != nil {
		return nil, unreadable(err)
	}
	o["secret"] = job.Hidden
	return json.Marshal(o)
}
