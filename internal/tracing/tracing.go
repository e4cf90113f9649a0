// Package tracing makes OpenTelemetry spans of what Belfry does for a job: of
// the request that asks for it, and of each webhook. They are tied together by
// the traceparent that is kept with the job.
//
// A nil [Tracer] makes no spans, at no cost; traces that others began are passed
// on all the same.
package tracing

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Tracer makes spans. It is safe for concurrent use.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// New returns a tracer that exports in one way, under the name of the resource
// that the OTEL_* variables describe, or as belfry.
func New(way sdktrace.TracerProviderOption, version string) *Tracer {
	// Later ones win: OTEL_SERVICE_NAME over our name.
	about, err := resource.New(context.Background(),
		resource.WithAttributes(attribute.String("service.name", "belfry"), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		resource.WithFromEnv(),
	)
	if err != nil {
		otel.Handle(err) // what could be found out is there
	}
	p := sdktrace.NewTracerProvider(way, sdktrace.WithResource(about))
	return &Tracer{provider: p, tracer: p.Tracer("belfry", trace.WithInstrumentationVersion(version))}
}

// Server begins the span of a request that came in with the traceparent parent,
// which may be empty.
func (t *Tracer) Server(parent, name string) Span {
	return t.start(parent, name, trace.SpanKindServer)
}

// Client begins the span of a call to somebody else.
func (t *Tracer) Client(parent, name string) Span {
	return t.start(parent, name, trace.SpanKindClient)
}

func (t *Tracer) start(parent, name string, kind trace.SpanKind) Span {
	if t == nil {
		return Span{parent: parent}
	}
	ctx := format.Extract(context.Background(), propagation.MapCarrier{traceparent: parent})
	_, span := t.tracer.Start(ctx, name, trace.WithSpanKind(kind))
	return Span{span: span}
}

// Shutdown sends what is left, until ctx ends.
func (t *Tracer) Shutdown(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// Span is one piece of work. That of a nil Tracer only passes its parent on.
type Span struct {
	span   trace.Span // nil when none is made
	parent string     // then the traceparent to pass on
}

var format propagation.TraceContext

// traceparent is the key of the format.
const traceparent = "traceparent"

// Traceparent returns the parent for further work: this span, or, if there is none,
// the parent it was given.
func (s Span) Traceparent() string {
	if s.span == nil {
		return s.parent
	}
	carrier := propagation.MapCarrier{}
	format.Inject(trace.ContextWithSpan(context.Background(), s.span), carrier)
	return carrier[traceparent]
}

// Name changes the name of the span.
func (s Span) Name(name string) {
	if s.span != nil {
		s.span.SetName(name)
	}
}

// Text says something about the work.
func (s Span) Text(key, value string) {
	if s.span != nil {
		s.span.SetAttributes(attribute.String(key, value))
	}
}

// Number says how much of something there was.
func (s Span) Number(key string, value int64) {
	if s.span != nil {
		s.span.SetAttributes(attribute.Int64(key, value))
	}
}

// End ends the span. failure says for people what went wrong, if anything did.
func (s Span) End(failure string) {
	if s.span == nil {
		return
	}
	if failure != "" {
		s.span.SetStatus(codes.Error, failure)
	}
	s.span.End()
}
