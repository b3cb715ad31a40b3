package orders_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/provider"
	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/services/orders"
)

// TestBrokerKilledUnderOrders kills the broker's process again and again while
// customers order from two instances, over a provider that loses answers. Each
// order a customer was promised is there, with one effect of each kind.
func TestBrokerKilledUnderOrders(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	addr, dir := l.Addr().String(), t.TempDir()
	must(t, l.Close())
	kill := serveBroker(t, addr, dir)
	t.Cleanup(func() { kill() })
	s := newShopOn(t, "nats://"+addr, provider.Options{DeclineRate: 0.1, ErrorRate: 0.05, ErrorAfterRate: 0.05, LoseReplyRate: 0.05})
	instances := []*orders.Saga{
		orders.New(s.journal, s.ports, orders.Options{ResumeAfter: 300 * time.Millisecond}),
		orders.New(s.journal, s.ports, orders.Options{ResumeAfter: 300 * time.Millisecond}),
	}
	for _, saga := range instances {
		s.background(saga.Run)
	}

	var mu sync.Mutex
	promised := map[string]string{} // order → status
	var placed atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for c := range 6 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				o, err := order(t, instances[i%2], request(fmt.Sprintf("c%d-%d", c, i),
					orders.Line{SKU: fmt.Sprint("sku-", (c+i)%5), Quantity: 1}, orders.Line{SKU: "cup", Quantity: 1}))
				if code := fault.CodeOf(err); err != nil && code != fault.Declined {
					t.Errorf("c%d-%d: %v", c, i, err)
				}
				if err == nil {
					mu.Lock()
					promised[o.ID] = string(o.Status)
					mu.Unlock()
				}
				placed.Add(1)
			}
		})
	}
	for k := range 4 {
		goal := placed.Load() + 12
		s.eventually(fmt.Sprint("orders before kill ", k), func() bool { return placed.Load() >= goal || t.Failed() })
		kill()
		kill = serveBroker(t, addr, dir)
	}
	goal := placed.Load() + 12
	s.eventually("orders after the last kill", func() bool { return placed.Load() >= goal || t.Failed() })
	stop()
	wg.Wait()

	all := s.final()
	for id, status := range promised {
		if o, ok := all[id]; !ok || status == string(orders.Confirmed) && o.Status != orders.Confirmed {
			t.Errorf("order %s was promised as %s and is %+v", id, status, o)
		}
	}
	for id, o := range all {
		if o.Status == orders.Failed {
			t.Errorf("order %s failed: %s", id, o.Reason)
		}
	}
	s.audit()
	t.Logf("%d orders, %d promised", len(all), len(promised))
}

// order places req as a customer does: again, under the same key, while nobody
// can tell what became of it.
func order(t *testing.T, saga *orders.Saga, req orders.PlaceRequest) (orders.Order, error) {
	for {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 3*time.Second)
		o, err := saga.Place(ctx, req)
		cancel()
		if code := fault.CodeOf(err); code != fault.Unavailable && code != fault.Deadline {
			return o, err
		}
	}
}

// serveBroker starts a broker process and returns what kills it.
func serveBroker(t *testing.T, addr, dir string) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envServe+"="+addr+" "+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Error(errors.Join(err, cmd.Process.Kill()))
	}
	var once sync.Once
	return func() {
		once.Do(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
}
