package api

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"

	"belfry/internal/contract"
)

// routeLists serves what there is, page by page, and what is done with all
// jobs that a filter selects. Ids may be any text, so what is no id stands
// first in these paths.
func (a *api) routeLists(mux *chi.Mux) {
	mux.Get("/job/{db}", a.operation(a.Operations.ListJobs, noBody))
	mux.Get("/job/{db}/{collection}", a.operation(a.Operations.ListJobs, noBody))
	mux.Get("/route/{db}", a.operation(a.Operations.ListRoutes, noBody))
	mux.Get("/db", a.serve(a.listDBs, noBody))
	mux.Get("/db/{db}", a.serve(a.listCollections, noBody))
	mux.Post("/cancel/{db}", a.serve(a.cancelJobs, MaxBody))
	mux.Post("/cancel/{db}/{collection}", a.serve(a.cancelJobs, MaxBody))
}

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
