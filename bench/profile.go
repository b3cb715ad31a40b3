package main

import (
	"os"
	"runtime"
	"runtime/pprof"
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
