package middleware

import (
	"context"
	"errors"
	"testing"

	metric "github.com/afex/hystrix-go/hystrix/metric_collector"
	"github.com/go-kit/kit/endpoint"
	"go.uber.org/goleak"

	"github.com/kitmesh/kitmesh/services/fault"
)

func TestMain(m *testing.M) {
	metric.Registry.Register(countBookings)
	goleak.VerifyTestMain(m,
		// hystrix-go keeps these for every command it ever saw.
		goleak.IgnoreTopFunction("github.com/afex/hystrix-go/hystrix.(*metricExchange).Monitor"),
		goleak.IgnoreTopFunction("github.com/afex/hystrix-go/hystrix.(*poolMetrics).Monitor"),
	)
}

var errBoom = errors.New("boom")

func fine(context.Context, any) (any, error) { return "fine", nil }

func broken(context.Context, any) (any, error) { return nil, errBoom }

// failing is an endpoint that always ends with err.
func failing(err error) endpoint.Endpoint {
	return func(context.Context, any) (any, error) { return nil, err }
}

func call(t *testing.T, e endpoint.Endpoint) error {
	t.Helper()
	_, err := e(t.Context(), nil)
	return err
}

func wantCode(t *testing.T, err error, want fault.Code) {
	t.Helper()
	if got := fault.CodeOf(err); got != want {
		t.Fatalf("code is %q (%v), want %q", got, err, want)
	}
}
