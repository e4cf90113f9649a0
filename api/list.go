package api

import (
	"context"
	"net/http"

	"belfry/internal/contract"
)

func (a *api) cancelJobs(ctx context.Context, r *http.Request, body []byte) ([]byte, error) {
	q, dry, err := contract.ParseCancel(body, r.PathValue("db"), r.PathValue("collection"))
	if err != nil {
		return nil, err
	}
	run, err := a.Operations.Jobs.CancelEach(ctx, q, dry)
	if err != nil {
		return nil, err
	}
	return contract.AppendCancelRun(nil, run, dry), nil
}

func (a *api) listDBs(ctx context.Context, r *http.Request, _ []byte) ([]byte, error) {
	q, err := contract.ParsePlaceQuery(r.URL.RawQuery, "")
	if err != nil {
		return nil, err
	}
	page, err := a.Operations.Jobs.Places(ctx, q)
	if err != nil {
		return nil, err
	}
	return contract.AppendDBs(nil, page), nil
}

func (a *api) listCollections(ctx context.Context, r *http.Request, _ []byte) ([]byte, error) {
	q, err := contract.ParsePlaceQuery(r.URL.RawQuery, r.PathValue("db"))
	if err != nil {
		return nil, err
	}
	page, err := a.Operations.Jobs.Places(ctx, q)
	if err != nil {
		return nil, err
	}
	return contract.AppendCollections(nil, page), nil
}
