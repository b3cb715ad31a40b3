package middleware

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

func TestPriorityNames(t *testing.T) {
	for _, p := range []Priority{Background, Normal, Critical} {
		if got := ParsePriority(p.String()); got != p {
			t.Errorf("%v is read as %v", p, got)
		}
	}
	for _, garbage := range []string{"", "CRITICAL", "critical ", "1", "critical,critical", strings.Repeat("x", 1000)} {
		if got := ParsePriority(garbage); got != Normal {
			t.Errorf("%q is read as %v", garbage, got)
		}
	}
	if Priority(100).String() != "critical" || Priority(-100).rank() != 0 {
		t.Error("a priority out of range is out of bounds")
	}
	if ranks := []int{Background.rank(), Normal.rank(), Critical.rank()}; !slices.Equal(ranks, []int{0, 1, 2}) {
		t.Errorf("ranks %v", ranks)
	}
}

// A client of the shop may step back, not push forward.
func TestLowerPriority(t *testing.T) {
	for header, want := range map[string]Priority{"": Normal, "critical": Normal, "background": Background, "junk": Normal} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		if header != "" {
			r.Header.Set(PriorityHeader, header)
		}
		got := Critical
		LowerPriority(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = PriorityFrom(r.Context()) })).
			ServeHTTP(httptest.NewRecorder(), r)
		if got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

// Priorities cross gRPC metadata; a page needs no header.
func TestPriorityTravels(t *testing.T) {
	for _, want := range []Priority{Background, Normal, Critical} {
		ctx := WithPriority(metadata.AppendToOutgoingContext(t.Context(), priorityKey, "junk"), want)
		if want == Normal {
			ctx = t.Context()
		}
		got := Priority(7)
		err := InjectB3()(ctx, "/m", nil, nil, nil, func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
			md, _ := metadata.FromOutgoingContext(ctx)
			if want == Normal && len(md) > 0 {
				t.Errorf("a page sends %v", md)
			}
			_, err := ExtractB3()(metadata.NewIncomingContext(t.Context(), md), nil, nil, func(ctx context.Context, _ any) (any, error) {
				got = PriorityFrom(ctx)
				return nil, nil
			})
			return err
		})
		if err != nil || got != want {
			t.Errorf("%v arrives as %v, %v", want, got, err)
		}
	}
}
