package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// callers are the numbers of concurrent callers that everybody is measured with.
var callers = []int{1, 32}

// cost is what a call cost in one slice.
type cost struct {
	wall   float64 // ns per call, over all callers: the inverse of throughput
	cpu    float64 // ns per call of this process: the caller's side
	served float64 // ns per call of the servers' processes
	allocs float64 // per call, of this process
	bytes  float64
	errs   int
	calls  int
}

// pair is a contender and raw gRPC, one right after the other.
type pair struct{ raw, other cost }

// row is all pairs of a contender with one number of callers.
type row struct {
	contender
	callers int
	pairs   []pair
}

// compare measures every contender in pairs with raw gRPC. Pairs of all
// contenders alternate, and who goes first in a pair: what the machine does
// meanwhile meets everybody.
func compare(f *field, s settings, stopped <-chan os.Signal) ([]row, error) {
	var rows []row
	for _, c := range f.contenders {
		for _, n := range callers {
			rows = append(rows, row{contender: c, callers: n})
		}
	}
	for i := range s.pairs {
		for _, r := range rand.Perm(len(rows)) {
			select {
			case <-stopped:
				return nil, errors.New("stopped")
			default:
			}
			row := &rows[r]
			var p pair
			if i%2 == 0 {
				p.raw, p.other = f.measure(f.raw, row.callers, s.slice), f.measure(row.contender, row.callers, s.slice)
			} else {
				p.other, p.raw = f.measure(row.contender, row.callers, s.slice), f.measure(f.raw, row.callers, s.slice)
			}
			row.pairs = append(row.pairs, p)
		}
		fmt.Fprintf(os.Stderr, "\rpair %d of %d ", i+1, s.pairs)
	}
	fmt.Fprintln(os.Stderr)
	return rows, check(rows)
}

// maxErrors is the share of failed calls that makes a comparison worthless:
// failing is cheaper than answering.
const maxErrors = 0.001

func check(rows []row) error {
	for _, r := range rows {
		errs, calls := 0, 0
		for _, p := range r.pairs {
			errs, calls = errs+p.other.errs+p.raw.errs, calls+p.other.calls+p.raw.calls
		}
		if float64(errs) > maxErrors*float64(calls) {
			return fmt.Errorf("%s or raw gRPC beside it: %d of %d calls failed", r.name, errs, calls)
		}
	}
	return nil
}

// measure calls for a slice of time, and asks the servers what it cost them.
func (f *field) measure(c contender, callers int, slice time.Duration) cost {
	before := f.servers.cpu()
	got := measure(c.call, callers, slice)
	got.served = float64(f.servers.cpu()-before) / float64(max(got.calls, 1))
	return got
}

// measure calls for a slice of time.
func measure(call op, callers int, slice time.Duration) cost {
	var before, after runtime.MemStats
	var over atomic.Bool
	var errs atomic.Int64
	counts := make([]int, callers*16) // a cache line each
	var wg sync.WaitGroup
	runtime.ReadMemStats(&before)
	cpu, begin := cpuTime(), time.Now()
	end := time.AfterFunc(slice, func() { over.Store(true) })
	defer end.Stop()
	for n := range callers {
		wg.Go(func() {
			for !over.Load() {
				ctx, cancel := context.WithTimeout(context.Background(), deadline)
				if _, err := call(ctx); err != nil {
					errs.Add(1)
				}
				cancel()
				counts[n*16]++
			}
		})
	}
	wg.Wait()
	wall, cpu := time.Since(begin), cpuTime()-cpu
	runtime.ReadMemStats(&after)
	calls := 0
	for _, n := range counts {
		calls += n
	}
	per := float64(max(calls, 1))
	return cost{
		wall: float64(wall) / per, cpu: float64(cpu) / per,
		allocs: float64(after.Mallocs-before.Mallocs) / per,
		bytes:  float64(after.TotalAlloc-before.TotalAlloc) / per,
		errs:   int(errs.Load()), calls: calls,
	}
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// of collects one number of every pair.
func (r row) of(f func(pair) float64) []float64 {
	var out []float64
	for _, p := range r.pairs {
		out = append(out, f(p))
	}
	return out
}

func xWall(p pair) float64  { return p.other.wall / p.raw.wall }
func xCPU(p pair) float64   { return p.other.cpu / p.raw.cpu }
func xAll(p pair) float64   { return (p.other.cpu + p.other.served) / (p.raw.cpu + p.raw.served) }
func allocs(p pair) float64 { return p.other.allocs - p.raw.allocs }

func median(v []float64) float64 { return quantile(v, 0.5) }

// quantile interpolates between the two nearest values; 0 of nothing.
func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	at := q * float64(len(v)-1)
	low := int(at)
	high := min(low+1, len(v)-1)
	return v[low] + (v[high]-v[low])*(at-float64(low))
}
