package middleware

import (
	"context"
	"net/http"

	"github.com/go-kit/kit/endpoint"
	"google.golang.org/grpc/metadata"
)

// Priority says who may stay when not everybody can. It begins at the front
// door and travels with the context through every hop.
type Priority int8

// The priorities. A request that names none, or one that nobody knows, is Normal.
const (
	Background Priority = iota - 1 // nobody waits for it
	Normal                         // pages
	Critical                       // orders: money is under way
)

// PriorityHeader carries the priority over HTTP, in lower case over gRPC.
const PriorityHeader = "X-Kitmesh-Priority"

const (
	priorityKey = "x-kitmesh-priority"
	priorities  = 3
)

var priorityNames = [priorities]string{"background", "normal", "critical"}

// String returns the name that travels.
func (p Priority) String() string { return priorityNames[p.rank()] }

// rank is the index of p in arrays, the least important first.
func (p Priority) rank() int { return int(min(max(p, Background), Critical) - Background) }

// ParsePriority reads a name; everything else is Normal.
func ParsePriority(name string) Priority {
	switch name {
	case "critical":
		return Critical
	case "background":
		return Background
	}
	return Normal
}

type priorityContext struct{}

// WithPriority returns a context whose calls have priority p, on this instance
// and on those it calls.
func WithPriority(ctx context.Context, p Priority) context.Context {
	if PriorityFrom(ctx) == p {
		return ctx
	}
	return context.WithValue(ctx, priorityContext{}, p)
}

// PriorityFrom returns the priority of ctx, Normal without one.
func PriorityFrom(ctx context.Context) Priority {
	p, _ := ctx.Value(priorityContext{}).(Priority)
	return p
}

// Prioritise gives requests priority p. It is for the instance where requests
// enter the mesh; the others inherit. Who says that his request is background
// work is believed: it can only be to the good of the rest.
func Prioritise(p Priority) endpoint.Middleware {
	return func(next endpoint.Endpoint) endpoint.Endpoint {
		return func(ctx context.Context, request any) (any, error) {
			if PriorityFrom(ctx) != Background {
				ctx = WithPriority(ctx, p)
			}
			return next(ctx, request)
		}
	}
}

// LowerPriority reads the priority of an HTTP request that comes from outside
// the mesh: it may lower itself to background, never raise itself.
func LowerPriority(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ParsePriority(r.Header.Get(PriorityHeader)) == Background {
			r = r.WithContext(WithPriority(r.Context(), Background))
		}
		next.ServeHTTP(w, r)
	})
}

// receivePriority takes the caller's priority from the metadata of a call.
func receivePriority(ctx context.Context) context.Context {
	// One key, not the whole metadata, which would be copied for it.
	if name := lastOf(metadata.ValueFromIncomingContext(ctx, priorityKey)); name != "" {
		return WithPriority(ctx, ParsePriority(name))
	}
	return ctx
}
