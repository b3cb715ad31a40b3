package middleware

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// fire burns processor time in goroutines of its own, as a runaway loop or a
// noisy neighbour does. Its zero value burns nothing.
type fire struct {
	mu      sync.Mutex
	workers int
	until   time.Time
	out     *atomic.Bool // of the workers that burn now
}

// set replaces what burns now by n workers for d; none with n of 0.
func (f *fire) set(n int, d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n == f.workers && n > 0 && time.Until(f.until) > d-time.Second && time.Until(f.until) <= d {
		return // the same, told again with the other faults
	}
	if f.out != nil {
		f.out.Store(true)
	}
	f.workers, f.until, f.out = n, time.Now().Add(d), new(atomic.Bool)
	for range n {
		go burn(f.out, f.until)
	}
}

// burning returns how many workers burn, and for how much longer.
func (f *fire) burning() (int, time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := time.Until(f.until).Round(time.Millisecond)
	if f.workers == 0 || left <= 0 {
		return 0, 0
	}
	return f.workers, left
}

// Burn keeps n processors busy until stop is closed.
func Burn(n int, stop <-chan struct{}) {
	out := new(atomic.Bool)
	var workers sync.WaitGroup
	for range n {
		workers.Go(func() { burn(out, time.Now().Add(maxBurn)) })
	}
	<-stop
	out.Store(true)
	workers.Wait()
}

// burn works for nothing until it is told to stop or the time has come.
func burn(out *atomic.Bool, until time.Time) {
	for x := uint64(1); !out.Load() && time.Now().Before(until); {
		for range 100_000 {
			x = x*6364136223846793005 + 1442695040888963407
		}
		runtime.KeepAlive(x)
	}
}
