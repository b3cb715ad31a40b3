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

// extract looks for the single header first, by which nearly all calls come:
// to read the many it takes a copy of all metadata.
func extract(ctx context.Context) (model.SpanContext, bool) {
	if v := metadata.ValueFromIncomingContext(ctx, b3.Header); len(v) > 0 {
		if sc, ok := b3.ParseSingle(v[len(v)-1]); ok {
			return sc, true
		}
	}
	md, _ := metadata.FromIncomingContext(ctx)
	return b3.Extract(lastOf(md))
}

// lastOf reads the last value of a key: a hop that appended to forwarded
// metadata instead of replacing it means its own.
func lastOf(md metadata.MD) func(string) string {
	return func(key string) string {
		if v := md[key]; len(v) > 0 {
			return v[len(v)-1]
		}
		return ""
	}
}

// InjectB3 sends the trace context and the priority of ctx along with the
// call, beside whatever metadata the call has already. A trace that nobody records, as most are,
// travels in the single header: two headers fewer to compress and to read, at
// both ends. zipkin-go reads the many alone over gRPC, so that those servers
// get the decision in its own header, too.
func InjectB3() grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, request, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if span := zipkin.SpanFromContext(ctx); unsampled(span) {
			ctx = metadata.AppendToOutgoingContext(ctx, b3.Header, b3.Single(span.Context()), b3.Sampled, "0")
		} else if span != nil {
			pairs := make([]string, 0, 8)
			b3.Inject(span.Context(), func(key, value string) { pairs = append(pairs, key, value) })
			ctx = metadata.AppendToOutgoingContext(ctx, pairs...)
		}
		return invoke(sendPriority(ctx), method, request, reply, cc, opts...)
	}
}
