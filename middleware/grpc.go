package middleware

import (
	"context"

	"github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/model"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/kitmesh/kitmesh/middleware/b3"
)

// ExtractB3 puts the trace context of the caller into ctx, where TraceServer
// finds it, and the caller's priority. Broken metadata is ignored.
func ExtractB3() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		if sc, ok := extract(ctx); ok {
			ctx = WithRemote(ctx, sc)
		}
		return handle(receivePriority(ctx), request)
	}
}

// extract reads key by key: metadata.FromIncomingContext copies all metadata.
func extract(ctx context.Context) (model.SpanContext, bool) {
	return b3.Extract(func(key string) string { return lastOf(metadata.ValueFromIncomingContext(ctx, key)) })
}

// lastOf reads the last value of a key: a hop that appended to forwarded
// metadata instead of replacing it means its own.
func lastOf(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// InjectB3 sends the trace context and the priority of ctx along with the call,
// beside whatever metadata the call has already. A trace that nobody records,
// as most are, travels in the single header: fewer headers to compress and to
// read, at both ends. zipkin-go reads the many alone over gRPC, so that such
// servers get the decision in its own header, too.
func InjectB3() grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, request, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		pairs := make([]string, 0, 10)
		if span := zipkin.SpanFromContext(ctx); unsampled(span) {
			pairs = append(pairs, b3.Header, b3.Single(span.Context()), b3.Sampled, "0")
		} else if span != nil {
			b3.Inject(span.Context(), func(key, value string) { pairs = append(pairs, key, value) })
		}
		if p := PriorityFrom(ctx); p != Normal { // which needs none
			pairs = append(pairs, priorityKey, p.String())
		}
		if a := askedFrom(ctx); a != nil {
			pairs = append(pairs, faultKey, a.text)
		}
		if len(pairs) > 0 {
			ctx = metadata.AppendToOutgoingContext(ctx, pairs...)
		}
		return invoke(ctx, method, request, reply, cc, opts...)
	}
}
