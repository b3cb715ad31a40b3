package middleware

import (
	"context"

	"github.com/openzipkin/zipkin-go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/kitmesh/kitmesh/middleware/b3"
)

// ExtractB3 puts the trace context of the caller into ctx, where TraceServer
// finds it, and the caller's priority. Broken metadata is ignored.
func ExtractB3() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		if md, ok := metadata.FromIncomingContext(ctx); ok {
			if sc, ok := b3.Extract(lastOf(md)); ok {
				ctx = WithRemote(ctx, sc)
			}
		}
		return handle(receivePriority(ctx), request)
	}
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
