package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"belfry/internal/contract"
	"belfry/internal/job"
	"belfry/internal/loglimit"
)

// Tokens is the store of bearer tokens. Its errors are like those of [Jobs];
// while it does not know the tokens they wrap [job.ErrUnavailable].
type Tokens interface {
	Find(id string) (job.Token, error)
	// InUse reports whether a token is needed though none is configured.
	InUse() (bool, error)
	List() ([]job.Token, error)
	Create(context.Context, job.Token) error
	Delete(ctx context.Context, id string) error
}

// createToken answers with the token, which is shown only this once.
func (a *api) createToken(ctx context.Context, _ *http.Request, body []byte) ([]byte, error) {
	now := time.Now()
	t, err := contract.ParseToken(body, now)
	if err != nil {
		return nil, err
	}
	if err := a.checkAuthOn(); err != nil {
		return nil, err
	}
	t, text := t.Issue(now)
	if err := a.Tokens.Create(ctx, t); err != nil {
		return nil, err
	}
	a.Log.InfoContext(loglimit.Always(ctx), "token created", "token", t.ID, "role", t.Role, "all_dbs", t.AllDBs, "dbs", t.DBs)
	return contract.AppendIssued(nil, t, text), nil
}

// checkAuthOn refuses to make a first token while none is needed. Such a token would
// lock everybody out, perhaps without one that can make another.
func (a *api) checkAuthOn() error {
	if a.AdminToken != "" {
		return nil
	}
	if used, err := a.Tokens.InUse(); err != nil || used {
		return err
	}
	return fmt.Errorf("%w: there can be tokens once Belfry runs with --admin-token or --admin-token-file", errAuthOff)
}

func (a *api) listTokens(context.Context, *http.Request, []byte) ([]byte, error) {
	all, err := a.Tokens.List()
	if err != nil {
		return nil, err
	}
	return contract.AppendTokens(nil, all), nil
}

func (a *api) deleteToken(ctx context.Context, r *http.Request, _ []byte) ([]byte, error) {
	id := r.PathValue("id")
	if err := a.Tokens.Delete(ctx, id); err != nil {
		return nil, err
	}
	a.Log.InfoContext(loglimit.Always(ctx), "token revoked", "token", id)
	return ok, nil
}
