package middleware

import (
	"context"
	"net/netip"
	"strconv"
	"sync/atomic"

	"github.com/go-kit/kit/endpoint"
	"github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/model"

	"github.com/kitmesh/kitmesh/middleware/b3"
	"github.com/kitmesh/kitmesh/services/fault"
)

// The tags that spans carry besides Zipkin's own "error".
const (
	TagCode     = "fault.code" // of a failed call
	TagInstance = "instance"   // that served, or should have served, the call
	TagTry      = "try"        // 1 for the first
	TagBreaker  = "breaker"    // state when the try began
	TagZone     = "zone"       // of the instance
	TagHedge    = "hedge"      // "true" on a try that was to overtake another
)

// TraceServer records the serving of a method. A context that came in with a
// remote caller is joined: client and server share one span id, as B3 wants
// it. Below a span of our own process (the transport's) it is a child, and
// without any it is the root of a new trace. A nil tracer records nothing.
func TraceServer(tracer *zipkin.Tracer, method string) endpoint.Middleware {
	if tracer == nil {
		return through
	}
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request any) (any, error) {
			parent := zipkin.SpanFromContext(ctx)
			if unsampled(parent) {
				return next(ctx, request) // the remote context in ctx goes on as it is
			}
			var span zipkin.Span
			switch parent := parent.(type) {
			case nil:
				span = tracer.StartSpan(method, zipkin.Kind(model.Server))
			case *remoteSpan:
				span = tracer.StartSpan(method, zipkin.Kind(model.Server), zipkin.Parent(parent.sc))
			default:
				span = tracer.StartSpan(method, zipkin.Parent(parent.Context()))
			}
			return traced(zipkin.NewContext(ctx, span), span, next, request)
		}
	}
}

// TraceClient records one try of a call to the instance that PeerFrom names.
// Put it inside the retry, so that every try is a span of its own.
func TraceClient(tracer *zipkin.Tracer, method string) endpoint.Middleware {
	if tracer == nil {
		return through
	}
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		var at known
		return func(ctx context.Context, request any) (any, error) {
			parent := zipkin.SpanFromContext(ctx)
			if unsampled(parent) {
				return next(ctx, request) // the peer learns the same trace and that nobody records it
			}
			var span zipkin.Span
			if parent == nil {
				span = tracer.StartSpan(method, zipkin.Kind(model.Client))
			} else {
				span = tracer.StartSpan(method, zipkin.Kind(model.Client), zipkin.Parent(parent.Context()))
			}
			if p, ok := PeerFrom(ctx); ok && !zipkin.IsNoop(span) {
				describe(span, p, at.endpoint(p))
			}
			return traced(zipkin.NewContext(ctx, span), span, next, request)
		}
	}
}

// traced runs next within span. The span ends even if next panics, and nothing
// touches it afterwards.
func traced(ctx context.Context, span zipkin.Span, next endpoint.Endpoint, request any) (response any, err error) {
	err = errPanicked
	defer func() {
		if err != nil {
			span.Tag(TagCode, string(fault.CodeOf(err)))
			zipkin.TagError.Set(span, err.Error())
		}
		span.Finish()
	}()
	response, err = next(ctx, request)
	return response, err
}

// known remembers how the last peer is described: an endpoint that is wrapped
// for one instance has no other.
type known struct{ last atomic.Pointer[described] }

type described struct {
	service, addr string
	endpoint      *model.Endpoint
}

func (k *known) endpoint(p Peer) *model.Endpoint {
	d := k.last.Load()
	if d == nil || d.service != p.Service || d.addr != p.Addr {
		d = &described{p.Service, p.Addr, Endpoint(p.Service, p.Addr)}
		k.last.Store(d)
	}
	return d.endpoint
}

// describe says where the try goes. The service name makes an instance visible
// in the dependency graph even if it died before it could report anything.
func describe(span zipkin.Span, p Peer, at *model.Endpoint) {
	span.SetRemoteEndpoint(at)
	for _, tag := range [...]struct{ key, value string }{
		{TagInstance, p.Instance}, {TagBreaker, p.Breaker}, {TagZone, p.Zone},
	} {
		if tag.value != "" {
			span.Tag(tag.key, tag.value)
		}
	}
	if p.Try > 0 {
		span.Tag(TagTry, strconv.Itoa(p.Try))
	}
	if p.Hedge {
		span.Tag(TagHedge, "true")
	}
}

// Endpoint makes Zipkin's description of a service at host:port. Hosts that
// are names, not addresses, are left out: it resolves nothing.
func Endpoint(service, addr string) *model.Endpoint {
	e := &model.Endpoint{ServiceName: service}
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return e
	}
	e.Port = at.Port()
	switch ip := at.Addr().Unmap(); {
	case ip.IsUnspecified():
	case ip.Is4():
		e.IPv4 = ip.AsSlice()
	default:
		e.IPv6 = ip.AsSlice()
	}
	return e
}

// TraceID returns the trace that ctx belongs to in hex, or "".
func TraceID(ctx context.Context) string {
	span := zipkin.SpanFromContext(ctx)
	if span == nil {
		return ""
	}
	sc := span.Context()
	if sc.TraceID.Empty() {
		return ""
	}
	return b3.TraceID(sc.TraceID)
}

// unsampled reports whether span belongs to a trace that is known not to be
// recorded. Such calls skip the tracer: zipkin-go builds the whole span before
// it finds out.
func unsampled(span zipkin.Span) bool {
	if span == nil {
		return false
	}
	sc := span.Context()
	return !sc.Debug && sc.Sampled != nil && !*sc.Sampled && !sc.TraceID.Empty()
}

// through is the middleware that does nothing.
func through(next endpoint.Endpoint) endpoint.Endpoint { return next }
