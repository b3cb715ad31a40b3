package target

import (
	"maps"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// maxMethods bounds the methods that are told apart, should a caller of Do put
// what its own callers send into the name. Those beyond share one entry.
const maxMethods = 256

// method is what a Target knows about one of the methods it calls.
type method struct {
	name  string
	keyed bool // calls go by their key
	hedge bool // a second try may overtake a slow first one
	times tail
}

// methods finds a method by name without a lock.
type methods struct {
	known atomic.Pointer[map[string]*method]
	mu    sync.Mutex // orders the writers
	rest  method
}

func (t *Target) method(name string) *method {
	if known := t.methods.known.Load(); known != nil {
		if m, ok := (*known)[name]; ok {
			return m
		}
		if len(*known) >= maxMethods {
			return &t.methods.rest
		}
	}
	return t.newMethod(name)
}

func (t *Target) newMethod(name string) *method {
	t.methods.mu.Lock()
	defer t.methods.mu.Unlock()
	next := map[string]*method{}
	if known := t.methods.known.Load(); known != nil {
		if m, ok := (*known)[name]; ok {
			return m
		}
		maps.Copy(next, *known)
	}
	m := &method{name: name, hedge: t.opts.Retry.hedges(name), keyed: t.opts.Balance.keyed(name)}
	next[name] = m
	t.methods.known.Store(&next)
	return m
}

const (
	octaves = 27 // of microseconds: up to 67 s
	parts   = 4  // of an octave: the bounds are at most a quarter apart
	recent  = 4096
	recount = 64
)

// tail knows the 95th percentile of the recent times of a method's answers, over
// all instances. It counts them in a histogram of atomics whose buckets are
// halved when it is full. The zero value knows nothing.
type tail struct {
	buckets [octaves * parts]atomic.Uint32
	seen    atomic.Uint32
	ninety5 atomic.Int64
}

func (q *tail) observe(d time.Duration) {
	q.buckets[bucketOf(d)].Add(1)
	if n := q.seen.Add(1); n%recount == 0 || n == recount/4 {
		q.count()
	}
}

// p95 is the 95th percentile, rounded up by at most a quarter; 0 while unknown.
func (q *tail) p95() time.Duration { return time.Duration(q.ninety5.Load()) }

func (q *tail) count() {
	var counts [octaves * parts]uint32
	sum := uint32(0)
	for i := range q.buckets {
		counts[i] = q.buckets[i].Load()
		sum += counts[i]
	}
	above := sum / 20
	for i := len(counts) - 1; i >= 0; i-- {
		if counts[i] > above {
			q.ninety5.Store(int64(boundOf(i)))
			break
		}
		above -= counts[i]
	}
	if sum < recent {
		return
	}
	for i := range counts { // what is counted meanwhile stays
		q.buckets[i].Add(-(counts[i] - counts[i]/2))
	}
}

// bucketOf and boundOf map a time to a bucket and the bucket to its upper bound.
func bucketOf(d time.Duration) int {
	us := uint64(max(d/time.Microsecond, 0)) + parts
	octave := bits.Len64(us) - 3 // of 4 µs and more: the two bits below the first one are the part
	return min(octave*parts+int(us>>octave)%parts, octaves*parts-1)
}

func boundOf(i int) time.Duration {
	octave, part := i/parts, i%parts
	return time.Duration((parts+part+1)<<octave-parts) * time.Microsecond
}
