package mesh_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/go-kit/kit/sd"
	"github.com/go-kit/kit/sd/lb"

	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/middleware"
	"github.com/kitmesh/kitmesh/services/fault"
)

// Without breakers on either side: retries must not multiply an outage even
// where no breaker has opened yet.
func TestTrapRetriesMultiplyAnOutage(t *testing.T) {
	trap[retried]{
		name: "an outage is not multiplied by retries",
		body: func(t *testing.T, stack retried) (wrong string) {
			synctest.Test(t, func(t *testing.T) {
				const calls = 1000
				var tries atomic.Int32
				down := counted(&tries, failing(fault.Internal))
				e := stack(t, down, down, down)
				for range calls {
					_, _ = e(t.Context(), nil)
				}
				// A fifth of the calls and 100 at once: the budget's defaults.
				if n := tries.Load(); n > calls*12/10+100 {
					wrong = fmt.Sprintf("%d calls became %d", calls, n)
				} else if n <= calls {
					wrong = fmt.Sprintf("%d tries of %d calls: nothing was retried", n, calls)
				}
			})
			return wrong
		},
		ours: func(t *testing.T, instances ...endpoint.Endpoint) endpoint.Endpoint {
			return ourTarget(t, target.Options{Breaker: middleware.BreakerSettings{ConsecutiveFailures: 1 << 20}}, true, instances...)
		},
		stock: func(_ *testing.T, instances ...endpoint.Endpoint) endpoint.Endpoint {
			return lb.Retry(3, time.Second, lb.NewRoundRobin(sd.FixedEndpointer(instances)))
		},
	}.run(t)
}

// retried calls over instances that are given as endpoints, three tries a call.
type retried func(t *testing.T, instances ...endpoint.Endpoint) endpoint.Endpoint
