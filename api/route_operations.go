package api

import (
	"context"

	"belfry/internal/contract"
	"belfry/internal/job"
	"belfry/internal/room"
)

// CreateRoute creates the route in the body.
func (o Operations) CreateRoute(ctx context.Context, r Request) (Answer, error) {
	route, err := contract.ParseRoute(r.Body, r.givenRouteKey())
	if err != nil {
		return Answer{}, err
	}
	return answered(o.Routes.Create(ctx, route))
}

// GetRoute shows a route.
func (o Operations) GetRoute(ctx context.Context, r Request) (Answer, error) {
	key, err := r.routeKey()
	if err != nil {
		return Answer{}, err
	}
	route, err := o.Routes.Get(ctx, key)
	if err != nil {
		return Answer{}, err
	}
	return Answer{contract.AppendRouteAnswer(nil, route), route.Revision}, nil
}

// ReplaceRoute replaces a route with the one in the body.
func (o Operations) ReplaceRoute(ctx context.Context, r Request) (Answer, error) {
	route, err := contract.ParseRoute(r.Body, r.givenRouteKey())
	if err != nil {
		return Answer{}, err
	}
	return answered(r.ifMatch(func(expect uint64) error { return o.Routes.Replace(ctx, route, expect) }))
}

// DeleteRoute deletes a route.
func (o Operations) DeleteRoute(ctx context.Context, r Request) (Answer, error) {
	key, err := r.routeKey()
	if err != nil {
		return Answer{}, err
	}
	return answered(r.ifMatch(func(expect uint64) error { return o.Routes.Delete(ctx, key, expect) }))
}

// PauseRoute keeps the jobs of a route from firing until the time in the body.
func (o Operations) PauseRoute(ctx context.Context, r Request) (Answer, error) {
	id, until, err := contract.ParsePause(r.Body, r.ID)
	if err != nil {
		return Answer{}, err
	}
	return answered(o.Routes.Pause(ctx, job.RouteKey{DB: r.DB, ID: id}, until))
}

// ResumeRoute lets the jobs of a route fire again.
func (o Operations) ResumeRoute(ctx context.Context, r Request) (Answer, error) {
	key, err := r.routeKey()
	if err != nil {
		return Answer{}, err
	}
	return answered(o.Routes.Resume(ctx, key))
}

// ListRoutes lists the routes of a db, starting where the query string says.
func (o Operations) ListRoutes(ctx context.Context, r Request) (Answer, error) {
	q, err := contract.ParseRouteQuery(r.Query, r.DB)
	return o.listRoutes(ctx, q, err)
}

// FindRoutes lists the routes of a db, starting where the body says.
func (o Operations) FindRoutes(ctx context.Context, r Request) (Answer, error) {
	q, err := contract.ParseRouteFind(r.Body, r.DB)
	return o.listRoutes(ctx, q, err)
}

func (o Operations) listRoutes(ctx context.Context, q job.RouteQuery, err error) (Answer, error) {
	if err != nil {
		return Answer{}, err
	}
	page, err := o.Routes.List(ctx, q)
	if err != nil {
		return Answer{}, err
	}
	if err := room.Of(ctx).Add(ctx, routesBytes(page)); err != nil {
		return Answer{}, err
	}
	return Answer{Body: contract.AppendRoutes(nil, page)}, nil
}

// routesBytes is the approximate length of the answer with the routes. The routes
// themselves are in memory anyway.
func routesBytes(page job.RoutePage) int64 {
	size := 0
	for _, r := range page.Routes {
		size += 1024 + len(r.DB) + len(r.ID) + 2*len(r.WebhookURL)
		for name := range r.Headers {
			size += len(name) + 32 // its value is not shown
		}
	}
	return int64(size)
}

// givenRouteKey is the key of the route in the body, which may have the id.
func (r Request) givenRouteKey() job.RouteKey { return job.RouteKey{DB: r.DB, ID: r.ID} }

// routeKey is the key of a route that only has to be named.
func (r Request) routeKey() (job.RouteKey, error) {
	id, err := r.id()
	return job.RouteKey{DB: r.DB, ID: id}, err
}
