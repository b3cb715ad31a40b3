package middleware

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/kit/endpoint"

	"github.com/kitmesh/kitmesh/services/fault"
)

// The simulated instance: Work(10ms, 4 workers, 256 places) behind a Shed.
const (
	simWork     = 10 * time.Millisecond
	simWorkers  = 4
	simCapacity = 400.0 // requests per second
	simDeadline = time.Second
)

// crowd is an open loop of requests of one priority: they come at their rate
// whatever becomes of those before.
type crowd struct {
	priority Priority
	rate     float64 // requests per second, in units of the capacity
	e        endpoint.Endpoint
}

// served is what became of a crowd in one phase.
type served struct {
	sent, ok, shed, failed int
	took                   []time.Duration // of those that were served
	lastBad                time.Duration   // since the phase began: the last that was not served, or took over 4x the work
}

func (s served) share() float64 { return float64(s.ok) / float64(s.sent) }

func (s served) p99() time.Duration {
	if len(s.took) == 0 {
		return 0
	}
	slices.Sort(s.took)
	return s.took[len(s.took)*99/100]
}

func (s served) String() string {
	return fmt.Sprintf("%d sent, %.2f%% served, %d shed, %d failed, p99 %v", s.sent, 100*s.share(), s.shed, s.failed, s.p99())
}

// drive sends the crowds for d and waits until all are answered. Arrivals are
// Poisson, from a seed.
func drive(t *testing.T, d time.Duration, crowds ...crowd) []served {
	t.Helper()
	results := make([]served, len(crowds))
	var mu sync.Mutex
	var all sync.WaitGroup
	begin := time.Now()
	for i, c := range crowds {
		rng := rand.New(rand.NewPCG(1, uint64(i)))
		all.Go(func() {
			at := begin
			for {
				at = at.Add(time.Duration(rng.ExpFloat64() / (c.rate * simCapacity) * float64(time.Second)))
				if at.Sub(begin) >= d {
					return
				}
				time.Sleep(time.Until(at))
				all.Go(func() {
					ctx, cancel := context.WithTimeout(WithPriority(context.Background(), c.priority), simDeadline)
					defer cancel()
					sent := time.Now()
					_, err := c.e(ctx, nil)
					mu.Lock()
					defer mu.Unlock()
					r := &results[i]
					r.sent++
					took := time.Since(sent)
					switch fault.CodeOf(err) {
					case "":
						r.ok++
						r.took = append(r.took, took)
					case fault.Overloaded:
						r.shed++
					default:
						r.failed++
					}
					if err != nil || took > 4*simWork {
						r.lastBad = sent.Sub(begin)
					}
				})
			}
		})
	}
	all.Wait()
	for i, c := range crowds {
		t.Logf("%v at %.1fx for %v: %v", c.priority, c.rate, d, results[i])
	}
	return results
}

// simulate makes the instance.
func simulate(shed *Shed) endpoint.Endpoint {
	return shed.Middleware("a.B")(Work(simWork, simWorkers, 256)(fine))
}

// goodput is what was served in time, in units of the capacity.
func goodput(d time.Duration, results ...served) (share float64) {
	for _, r := range results {
		share += float64(r.ok) / d.Seconds() / simCapacity
	}
	return share
}

// An overload of three times and of ten times the capacity: the instance does as
// much as it can, those it serves hardly wait, and the moment it is over it is
// as if it had not been.
func TestShedOverload(t *testing.T) {
	for _, over := range []struct {
		load, want float64
		cold       bool
	}{{.8, .78, false}, {1, .9, false}, {3, .95, false}, {10, .9, false}, {3, .95, true}} {
		t.Run(fmt.Sprintf("%gx, cold %t", over.load, over.cold), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shed := NewShed(ShedSettings{})
				pages := func(load float64) crowd { return crowd{Normal, load, simulate(shed)} }
				const steady, long = 5 * time.Second, 20 * time.Second
				usual := simWork * 9 / 4 // if nothing was seen before: the first moments are spoilt
				if !over.cold {
					before := drive(t, steady, pages(.6))[0]
					if before.share() != 1 {
						t.Errorf("at 0.6x: %v", before)
					}
					usual = before.p99()
				}
				during := drive(t, long, pages(over.load))[0]
				t.Logf("limit %.1f, %+v", shed.Report().Limit, shed.Report().Unloaded)
				if got := goodput(long, during); got < over.want || during.failed > 0 {
					t.Errorf("goodput %.3f, want %.3f", got, over.want)
				}
				if during.p99() > 4*usual {
					t.Errorf("p99 %v, was %v", during.p99(), usual)
				}
				after := drive(t, steady, pages(.6))[0]
				if after.lastBad > 2*time.Second || after.p99() > usual*3/2 {
					t.Errorf("not steady after %v: %v", after.lastBad, after)
				}
			})
		})
	}
}

// Orders fit alone, pages come at four times what is left: every order is
// served, and the pages share what is left over.
func TestShedOrdersFirst(t *testing.T) {
	for _, c := range []struct{ orders, pages, background float64 }{
		{.6, 2.4, 0}, {.2, 2.8, 0}, {.6, 9.4, 0}, {.3, .3, 2.4},
	} {
		t.Run(fmt.Sprintf("%g+%g+%g", c.orders, c.pages, c.background), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shed := NewShed(ShedSettings{})
				e := simulate(shed)
				crowds := []crowd{{Critical, c.orders, e}, {Normal, c.pages, e}}
				if c.background > 0 {
					crowds = append(crowds, crowd{Background, c.background, e})
				}
				const long = 20 * time.Second
				r := drive(t, long, crowds...)
				if r[0].share() < .999 {
					t.Errorf("orders: %v", r[0])
				}
				if got := goodput(long, r...); got < .95 {
					t.Errorf("goodput %.3f", got)
				}
				if c.background > 0 && r[1].share() < .99 {
					t.Errorf("background work costs pages: %v", r[1])
				}
			})
		})
	}
}

// Too many orders are shed as well, and too much background work gets all of an
// instance that has nothing else to do.
func TestShedOneClassAlone(t *testing.T) {
	for _, p := range []Priority{Critical, Background} {
		t.Run(p.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const long = 20 * time.Second
				r := drive(t, long, crowd{p, 3, simulate(NewShed(ShedSettings{}))})
				if got := goodput(long, r...); got < .95 || r[0].p99() > 16*simWork { // orders have room for bursts
					t.Errorf("goodput %.3f, p99 %v", got, r[0].p99())
				}
			})
		})
	}
}

// Without a Shed the same overload leaves next to nothing: what is served was
// waited for in vain.
func TestShedIsNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const long = 10 * time.Second
		none := Work(simWork, simWorkers, 1<<20)(fine) // the queue of a server that refuses nobody
		if r := drive(t, long, crowd{Normal, 3, none}); goodput(long, r...) > .3 {
			t.Errorf("goodput %.3f", goodput(long, r...))
		}
	})
}

// The work takes three times as long for a while, under load and under
// overload: the limit follows, there and back.
func TestShedWorkChanges(t *testing.T) {
	for _, load := range []float64{.25, .6, 3} {
		for _, workers := range []int{4, 16} {
			t.Run(fmt.Sprintf("%gx %d workers", load, workers), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					perSecond := float64(workers) / simWork.Seconds() / simCapacity
					shed := NewShed(ShedSettings{})
					fast, slow := Work(simWork, workers, 1<<20)(fine), Work(3*simWork, workers, 1<<20)(fine)
					for i, phase := range []struct {
						e        endpoint.Endpoint
						capacity float64
					}{{fast, 1}, {slow, 1. / 3}, {fast, 1}} {
						const settle, long = 3 * time.Second, 8 * time.Second
						c := crowd{Normal, load * perSecond, shed.Middleware("a.B")(phase.e)}
						drive(t, settle, c)
						r := drive(t, long, c)
						want := min(float64(r[0].sent)/long.Seconds()/simCapacity/perSecond, .95*phase.capacity)
						if got := goodput(long, r...) / perSecond; got < want {
							t.Errorf("phase %d: goodput %.3f, want %.3f; limit %.1f %v", i, got, want, shed.Report().Limit, shed.Report().Unloaded)
						}
					}
				})
			})
		}
	}
}

// Methods of 1 ms and of 40 ms share the instance, and their mix turns over:
// neither the mix nor its change is mistaken for an overload.
func TestShedMixOfMethods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shed := NewShed(ShedSettings{})
		workers := make(chan struct{}, 16)
		method := func(name string, takes time.Duration) endpoint.Endpoint {
			return shed.Middleware(name)(func(ctx context.Context, _ any) (any, error) {
				workers <- struct{}{}
				defer func() { <-workers }()
				return nil, pause(ctx, takes)
			})
		}
		reads, orders := method("read", time.Millisecond), method("place", 40*time.Millisecond)
		const long = 5 * time.Second
		for _, mix := range []struct{ reads, orders float64 }{{20, .2}, {4, .6}, {20, .2}} { // 70 % of 16 workers each
			r := drive(t, long, crowd{Normal, mix.reads, reads}, crowd{Normal, mix.orders, orders})
			if r[0].share() < .999 || r[1].share() < .999 {
				t.Errorf("a mix that fits is shed: %v", mix)
			}
		}
		r := drive(t, long, crowd{Normal, 30, reads}, crowd{Critical, .6, orders}, crowd{Normal, 1.5, orders}) // 2.85 times what fits
		busy := (float64(r[0].ok)*.001 + float64(r[1].ok+r[2].ok)*.040) / long.Seconds() / 16
		if busy < .95 {
			t.Errorf("under overload the workers are busy %.0f %% of the time", 100*busy)
		}
		if r[1].share() < .999 {
			t.Errorf("orders that fit are shed: %v", r[1])
		}
		t.Logf("%+v", shed.Report())
	})
}

// Nothing waits in a service with room for everybody, however many come at
// once: the limit grows with them.
func TestShedCrowdWithoutOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shed := NewShed(ShedSettings{})
		e := shed.Middleware("a.B")(Work(100*time.Millisecond, 0, 0)(fine))
		const load = 12.5 // 5000 requests/s, 500 at once
		drive(t, 2*time.Second, crowd{Normal, load, e})
		if r := drive(t, 5*time.Second, crowd{Normal, load, e}); r[0].share() < 1 {
			t.Errorf("%v at a limit of %.0f", r[0], shed.Report().Limit)
		}
	})
}

// Callers that give up after 25 ms, less than the limit's queue takes: who would
// wait in vain is refused at once.
func TestShedImpatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := simulate(NewShed(ShedSettings{}))
		impatient := func(ctx context.Context, request any) (any, error) {
			ctx, cancel := context.WithTimeout(ctx, 25*time.Millisecond)
			defer cancel()
			return e(ctx, request)
		}
		drive(t, time.Second, crowd{Normal, 3, impatient}) // learns how much it can do
		const long = 10 * time.Second
		r := drive(t, long, crowd{Normal, 3, impatient})[0]
		if in := r.ok + r.failed; float64(r.failed) > .1*float64(in) {
			t.Errorf("of %d that were let in %d waited in vain", in, r.failed)
		}
		if got := goodput(long, r); got < .9 {
			t.Errorf("goodput %.3f", got)
		}
	})
}
