package main

import (
	"context"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"
)

// profileNothingYet keeps what happens before the calls out of the profile.
func profileNothingYet(file string) {
	if file != "" {
		runtime.MemProfileRate = 0
	}
}

// profileAllocs writes where the calls of a contender allocate, for
// `go tool pprof -sample_index=alloc_objects`.
func profileAllocs(c contender, file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	runtime.MemProfileRate = 2048
	measure(c.call, 1, 5*time.Second)
	runtime.GC() // publishes what was allocated so far
	runtime.GC()
	if err := pprof.Lookup("allocs").WriteTo(f, 0); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// profiledCalls are so many for everybody, that two profiles differ by what the
// calls cost.
const profiledCalls = 400_000

// profileCPU writes where 32 callers spend the CPU time of profiledCalls, for
// `go tool pprof -diff_base raw.prof`.
func profileCPU(c contender, file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		_ = f.Close()
		return err
	}
	var left atomic.Int64
	left.Store(profiledCalls)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				ctx, cancel := context.WithTimeout(context.Background(), deadline)
				_, _ = c.call(ctx) // the warm calls had no errors
				cancel()
			}
		})
	}
	wg.Wait()
	pprof.StopCPUProfile()
	return f.Close()
}
