package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/go-kit/kit/ratelimit"
	kitgrpc "github.com/go-kit/kit/transport/grpc"
	"github.com/sony/gobreaker"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	endpoints "github.com/kitmesh/kitmesh/endpoints/catalog"
	"github.com/kitmesh/kitmesh/services/catalog"
	"github.com/kitmesh/kitmesh/services/fault"
	transport "github.com/kitmesh/kitmesh/transports/catalog"
	"github.com/kitmesh/kitmesh/transports/internal/wiretest"
	catalogpb "github.com/kitmesh/kitmesh/transports/proto/catalog/v1"
	"github.com/kitmesh/kitmesh/transports/rpc"
)

// TestEveryCodeSurvives takes each fault to a status and back.
func TestEveryCodeSurvives(t *testing.T) {
	for _, code := range fault.Codes() {
		for _, after := range []time.Duration{0, 1500 * time.Millisecond} {
			want := &fault.Error{Code: code, Message: "100% of " + string(code), RetryAfter: after, Cause: errors.New("secret")}
			sent := rpc.Status(fmt.Errorf("orders: %w", want))
			s, _ := status.FromError(sent)
			if c := s.Code(); c == codes.OK || c == codes.Unknown {
				t.Errorf("%s becomes %s", code, c)
			}
			if strings.Contains(sent.Error(), "secret") {
				t.Errorf("%s carries its cause: %v", code, sent)
			}
			got := rpc.Fault(fmt.Errorf("catalog: %w", sent))
			if fault.CodeOf(got) != code || fault.MessageOf(got) != want.Message || fault.RetryAfterOf(got) != after {
				t.Errorf("%s after %s comes back as %q after %s: %v", code, after, fault.CodeOf(got), fault.RetryAfterOf(got), got)
			}
		}
	}
	if rpc.Status(nil) != nil || rpc.Fault(nil) != nil {
		t.Error("nil becomes an error")
	}
}

// TestOriginSurvives: a failure that an instance passes on names its origin on
// the wire, so that breakers do not hold it against the instance.
func TestOriginSurvives(t *testing.T) {
	sent := rpc.Status(fault.From("payments", fault.New(fault.Unavailable, "nobody there")))
	if got := rpc.Fault(sent); fault.OriginOf(got) != "payments" || fault.Blames(got) {
		t.Errorf("%v comes back with the origin %q", sent, fault.OriginOf(got))
	}
	if got := rpc.Fault(rpc.Status(fault.New(fault.Unavailable, "nobody there"))); fault.OriginOf(got) != "" || !fault.Blames(got) {
		t.Errorf("an instance's own failure comes back with the origin %q", fault.OriginOf(got))
	}
}

// TestForeignErrors maps what did not come from a service of ours; addresses
// stay in the cause.
func TestForeignErrors(t *testing.T) {
	for code, want := range map[codes.Code]fault.Code{
		codes.Canceled: fault.Canceled, codes.DeadlineExceeded: fault.Deadline, codes.Unavailable: fault.Unavailable,
		codes.ResourceExhausted: fault.Limited, codes.InvalidArgument: fault.Invalid, codes.OutOfRange: fault.Invalid,
		codes.NotFound: fault.NotFound, codes.AlreadyExists: fault.Conflict, codes.FailedPrecondition: fault.Conflict,
		codes.Aborted: fault.Conflict, codes.PermissionDenied: fault.Denied, codes.Unauthenticated: fault.Denied,
		codes.Unknown: fault.Internal, codes.Unimplemented: fault.Internal, codes.Internal: fault.Internal,
		codes.DataLoss: fault.Internal, codes.Code(99): fault.Internal,
	} {
		foreign, err := status.New(code, "dial tcp 10.0.0.1").WithDetails(&errdetails.ErrorInfo{Reason: "conflict", Domain: "elsewhere"})
		if err != nil {
			t.Fatal(err)
		}
		got := rpc.Fault(foreign.Err())
		if fault.CodeOf(got) != want || strings.Contains(fault.MessageOf(got), "10.0.0.1") {
			t.Errorf("%s becomes %q: %s", code, fault.CodeOf(got), fault.MessageOf(got))
		}
		if !errors.Is(got, foreign.Err()) {
			t.Errorf("%s loses its cause", code)
		}
	}
	unknown, err := status.New(codes.Internal, "?").WithDetails(&errdetails.ErrorInfo{Reason: "made_up", Domain: "kitmesh"})
	if err != nil {
		t.Fatal(err)
	}
	if got := fault.CodeOf(rpc.Fault(unknown.Err())); got != fault.Internal {
		t.Errorf("a code of a newer version becomes %q, want internal", got)
	}
}

// TestLibraryErrors gives the errors of the libraries in the rings their code
// on the wire, and hides the ones nobody knows.
func TestLibraryErrors(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want fault.Code
	}{
		{ratelimit.ErrLimited, fault.Limited},
		{gobreaker.ErrOpenState, fault.Unavailable},
		{gobreaker.ErrTooManyRequests, fault.Unavailable},
		{context.DeadlineExceeded, fault.Deadline},
		{context.Canceled, fault.Canceled},
		{status.Error(codes.Unavailable, "10.0.0.1"), fault.Unavailable},
		{errors.New("10.0.0.1"), fault.Internal},
	} {
		got := rpc.Fault(rpc.Status(fmt.Errorf("wrapped: %w", tc.err)))
		if fault.CodeOf(got) != tc.want || strings.Contains(fault.MessageOf(got), "10.0.0.1") {
			t.Errorf("%v becomes %q: %s", tc.err, fault.CodeOf(got), fault.MessageOf(got))
		}
	}
}

func TestUnreachable(t *testing.T) {
	conn, err := grpc.NewClient("127.0.0.1:1", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, err = transport.Client(rpc.Direct(conn)).Get(t.Context(), catalog.GetRequest{SKU: "tea"})
	if fault.CodeOf(err) != fault.Unavailable || strings.Contains(fault.MessageOf(err), "127.0.0.1") {
		t.Errorf("%q %s", fault.CodeOf(err), fault.MessageOf(err))
	}
}

func TestCancelAndDeadlineTravel(t *testing.T) {
	arrived := make(chan context.Context, 1)
	conn := serve(t, func(ctx context.Context, _ any) (any, error) {
		arrived <- ctx
		<-ctx.Done()
		return nil, ctx.Err()
	})
	svc := transport.Client(rpc.Direct(conn))

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := svc.Get(ctx, catalog.GetRequest{SKU: "tea"})
	if fault.CodeOf(err) != fault.Deadline {
		t.Errorf("deadline: %v", err)
	}
	if _, ok := (<-arrived).Deadline(); !ok {
		t.Error("the deadline stays at home")
	}

	ctx, cancel = context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	_, err = svc.Get(ctx, catalog.GetRequest{SKU: "tea"})
	if fault.CodeOf(err) != fault.Canceled {
		t.Errorf("cancel: %v", err)
	}
}

// serve answers every method of the catalog with e.
func serve(t *testing.T, e endpoint.Endpoint) *grpc.ClientConn {
	return wiretest.GRPC(t, func(s grpc.ServiceRegistrar) {
		transport.Register(s, endpoints.Set{ListEndpoint: e, GetEndpoint: e})
	})
}

// TestOutgoingMetadata: what middleware puts into the outgoing metadata, such
// as a trace, arrives. The client of kit's transport/grpc replaces it.
func TestOutgoingMetadata(t *testing.T) {
	var got []string
	conn := serve(t, func(ctx context.Context, _ any) (any, error) {
		got = metadata.ValueFromIncomingContext(ctx, "x-b3-traceid")
		return catalog.Product{}, nil
	})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-b3-traceid", "463ac35c9f6413ad")

	if _, err := transport.Client(rpc.Direct(conn)).Get(ctx, catalog.GetRequest{SKU: "tea"}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 {
		t.Errorf("ours: metadata %v, want the trace id", got)
	}

	encode := func(context.Context, any) (any, error) { return &catalogpb.GetRequest{Sku: "tea"}, nil }
	decode := func(_ context.Context, reply any) (any, error) { return reply, nil }
	stock := kitgrpc.NewClient(conn, "kitmesh.catalog.v1.Catalog", "Get", encode, decode, catalogpb.Product{}).Endpoint()
	if _, err := stock(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if len(got) != 0 {
		t.Errorf("stock: metadata %v arrives; kit is fixed, so Remote may use its client", got)
	}
}

// TestWrongTypes: a ring that answers something else is an error, not a panic.
func TestWrongTypes(t *testing.T) {
	conn := serve(t, func(context.Context, any) (any, error) { return "no product", nil })
	client := transport.Client(rpc.Direct(conn))
	if _, err := client.Get(t.Context(), catalog.GetRequest{SKU: "tea"}); fault.CodeOf(err) != fault.Internal {
		t.Errorf("response: %v", err)
	}
	if _, err := client.GetEndpoint(t.Context(), 42); err == nil {
		t.Error("request: no error")
	}
}

// TestMessageOfAnyBytes: a message that is no UTF-8 cannot be marshalled, and
// the details would be lost with it.
func TestMessageOfAnyBytes(t *testing.T) {
	conn := serve(t, func(context.Context, any) (any, error) { return nil, fault.New(fault.KeyReused, "key \xff") })
	_, err := transport.Client(rpc.Direct(conn)).Get(t.Context(), catalog.GetRequest{SKU: "tea"})
	if fault.CodeOf(err) != fault.KeyReused || fault.MessageOf(err) != "key \uFFFD" {
		t.Errorf("%q %q", fault.CodeOf(err), fault.MessageOf(err))
	}
}

// TestDialerNames: the mesh finds its settings by these names.
func TestDialerNames(t *testing.T) {
	var names []string
	transport.Client(func(method string, dial func(grpc.ClientConnInterface) endpoint.Endpoint) endpoint.Endpoint {
		names = append(names, method)
		return dial(nil)
	})
	if got := strings.Join(names, " "); got != "catalog.List catalog.Get" {
		t.Errorf("methods %q", got)
	}
}

// TestPluggedOptions: options of go-kit users see the call as on a server of
// kit's own, and change nothing about its outcome.
func TestPluggedOptions(t *testing.T) {
	var before, after string
	e := func(context.Context, any) (any, error) { return catalog.Product{SKU: "tea"}, nil }
	in := func(r *catalogpb.GetRequest) catalog.GetRequest { return catalog.GetRequest{SKU: r.GetSku()} }
	out := func(p catalog.Product) *catalogpb.Product { return &catalogpb.Product{Sku: p.SKU} }
	plugged := rpc.Unary(e, in, out,
		kitgrpc.ServerBefore(func(ctx context.Context, md metadata.MD) context.Context {
			before = md.Get("who")[0]
			return ctx
		}),
		kitgrpc.ServerFinalizer(func(context.Context, error) { after = "seen" }))
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("who", "me"))
	for name, get := range map[string]func(context.Context, *catalogpb.GetRequest) (*catalogpb.Product, error){
		"plugged": plugged, "direct": rpc.Unary(e, in, out),
	} {
		if p, err := get(ctx, &catalogpb.GetRequest{Sku: "tea"}); err != nil || p.GetSku() != "tea" {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	if before != "me" || after != "seen" {
		t.Errorf("the options saw %q and %q", before, after)
	}
	wrong := func(context.Context, any) (any, error) { return 7, nil }
	if _, err := rpc.Unary(wrong, in, out, kitgrpc.ServerFinalizer())(ctx, nil); fault.CodeOf(rpc.Fault(err)) != fault.Internal {
		t.Errorf("a wrong type behind options: %v", err)
	}
}

// A served call copies none of its metadata unless options want it.
func TestServingCopiesNoMetadata(t *testing.T) {
	e := func(context.Context, any) (any, error) { return catalog.Product{}, nil }
	in := func(*catalogpb.GetRequest) catalog.GetRequest { return catalog.GetRequest{} }
	reply := &catalogpb.Product{}
	out := func(catalog.Product) *catalogpb.Product { return reply }
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("a", "1", "b", "2", "c", "3", "d", "4", "e", "5", "f", "6"))
	allocs := func(get func(context.Context, *catalogpb.GetRequest) (*catalogpb.Product, error)) float64 {
		return testing.AllocsPerRun(100, func() { _, _ = get(ctx, nil) })
	}
	if n := allocs(rpc.Unary(e, in, out)); n > 2 { // request and response as any
		t.Errorf("%v allocations, want at most 2", n)
	}
	t.Run("stock", func(t *testing.T) {
		if n := allocs(rpc.Unary(e, in, out, kitgrpc.ServerFinalizer())); n < 8 {
			t.Errorf("kit's server needs %v allocations, no copy any more: Unary may always use it", n)
		}
	})
}
