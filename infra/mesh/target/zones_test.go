package target_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/services/fault"
)

// zoned makes instances in the zones, in this order.
func zoned(zones ...string) []discovery.Instance {
	list := instances(len(zones))
	for i := range list {
		list[i].Zone = zones[i]
	}
	return list
}

// The own zone gets nearly all while 1/1.4 of it is healthy, then 1.4 times its
// healthy part, as Envoy has it.
func TestZonesOverflow(t *testing.T) {
	for _, c := range []struct {
		sick int // of five own ones
		want float64
	}{{0, 1}, {1, 1}, {2, 0.84}, {3, 0.56}, {4, 0.28}, {5, 0}} {
		t.Run(fmt.Sprint(c.sick), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				list := zoned("a", "a", "a", "a", "a", "b", "b", "b", "c", "c")
				x := of(t, 0, target.Options{Source: discovery.NewStatic(list...), Balance: target.Balance{Zone: "a"}})
				near, all := 0, 0
				for i := range 6000 {
					time.Sleep(time.Millisecond)
					_ = x.Do(t.Context(), read, func(_ context.Context, m *target.Member) error {
						instance := m.Instance()
						for _, sick := range list[:c.sick] {
							if instance.ID == sick.ID {
								return refused
							}
						}
						if i > 3000 {
							all++
							if instance.Zone == "a" {
								near++
							}
						}
						return nil
					})
				}
				if got := float64(near) / float64(all); got < c.want-0.08 || got > c.want+0.08 {
					t.Errorf("the own zone got %.2f of the calls, want %.2f", got, c.want)
				}
			})
		})
	}
}

// One of three instances is in the callers' zone, and all callers are. At a rate
// that it can bear it gets nearly all of the calls; at one that it cannot, it
// gets what it can bear, and the customers notice nothing.
func TestLoneInstanceOfAZoneIsNotOverloaded(t *testing.T) {
	for _, c := range []struct {
		rate      int // of the instance's 400/s
		low, high float64
		p99       time.Duration
	}{{150, 0.85, 1, 50 * time.Millisecond}, {720, 0.3, 0.56, 150 * time.Millisecond}, {960, 0.25, 0.42, 300 * time.Millisecond}} {
		t.Run(fmt.Sprint(c.rate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 3, 4, target.Options{
					Source:  discovery.NewStatic(zoned("a", "b", "c")...),
					Balance: target.Balance{Zone: "a"},
				}, func(string) (time.Duration, error) { return around(10 * time.Millisecond), nil })
				f.run(t, c.rate, 30*time.Second)
				share := f.share("x-1", 5*time.Second)
				p99, failed := f.p(0.99, 5*time.Second)
				t.Logf("%d/s: the own one got %.3f, p99 %v, %d failed", c.rate, share, p99, failed)
				if share < c.low || share > c.high || failed > 0 || p99 > c.p99 {
					t.Errorf("%d/s: the own one got %.2f, p99 %v, %d failed; want %.2f to %.2f, %v, 0",
						c.rate, share, p99, failed, c.low, c.high, c.p99)
				}
			})
		})
	}
}

// The only instance of the callers' zone fails for a while and is ejected. When it
// is well again it is found out, although nobody near is healthy until then.
func TestOwnZoneComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		f := newFleet(t, 3, 4, target.Options{
			Source:  discovery.NewStatic(zoned("a", "b", "c")...),
			Balance: target.Balance{Zone: "a"},
		}, func(id string) (time.Duration, error) {
			if at := time.Since(begin); id == "x-1" && at > 2*time.Second && at < 5*time.Second {
				return time.Millisecond, fault.New(fault.Unavailable, "sick")
			}
			return around(10 * time.Millisecond), nil
		})
		f.run(t, 100, 30*time.Second)
		if share := f.share("x-1", 20*time.Second); share < 0.85 {
			t.Errorf("15 s after it was well again the own one gets %.2f of the calls, want nearly all", share)
		}
	})
}

// Many callers of one zone that do not know of each other find the same balance.
func TestCallersOfOneZoneShareIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := discovery.NewStatic(zoned("a", "b", "c")...)
		f := newFleet(t, 3, 4, target.Options{Source: source, Balance: target.Balance{Zone: "a"}},
			func(string) (time.Duration, error) { return around(10 * time.Millisecond), nil })
		for range 23 {
			f.more = append(f.more, of(t, 0, target.Options{Source: source, Balance: target.Balance{Zone: "a"}}))
		}
		f.run(t, 720, 40*time.Second)
		share := f.share("x-1", 15*time.Second)
		p99, failed := f.p(0.99, 15*time.Second)
		t.Logf("the own one got %.3f, p99 %v, %d failed", share, p99, failed)
		if share < 0.3 || share > 0.56 || failed > 0 || p99 > 150*time.Millisecond {
			t.Errorf("the own one got %.2f, p99 %v, %d failed; want 0.3 to 0.56, 150 ms, 0", share, p99, failed)
		}
	})
}
