package target_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/internal/servertest"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/services/fault"
)

// A call over gRPC ends soon after its caller left, and with its caller's time,
// although it only borrows the context that ends it; and nobody gets one that
// was cut.
func TestCallersLeave(t *testing.T) {
	server := servertest.Serve(t, "127.0.0.1:0")
	x := of(t, 0, target.Options{Source: discovery.NewStatic(at(server)...)})
	e := x.Endpoint("x.M", servertest.Dial)
	if err := call(t, e); err != nil {
		t.Fatal(err)
	}
	gate := make(chan struct{})
	server.Hold(gate)
	const soon = time.Second // 20 ms, on a quiet machine
	for what, tt := range map[string]struct {
		within func() (context.Context, context.CancelFunc)
		code   fault.Code
	}{
		"it cancels": {func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(30*time.Millisecond, cancel)
			return ctx, cancel
		}, fault.Canceled},
		"its time is over": {func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), 30*time.Millisecond)
		}, fault.Deadline},
	} {
		ctx, cancel := tt.within()
		begin := time.Now()
		_, err := e(ctx, nil)
		if took := time.Since(begin); fault.CodeOf(err) != tt.code || took < 30*time.Millisecond || took > soon {
			t.Errorf("%s: %v after %v, want %s after 30 ms", what, err, took, tt.code)
		}
		cancel()
	}
	close(gate)
	server.Hold(nil)

	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 200 {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				leaves := n%2 == 0
				if leaves {
					time.AfterFunc(time.Duration(i%10)*50*time.Microsecond, cancel)
				}
				if _, err := e(ctx, nil); err != nil && !leaves {
					t.Errorf("a call whose caller stayed: %v", err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
}
