package telemetry

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/model"
	"github.com/openzipkin/zipkin-go/reporter"
	"golang.org/x/time/rate"

	"github.com/kitmesh/kitmesh/middleware"
)

// Sampling says which of the traces that begin here are recorded.
type Sampling struct {
	Share     float64 // of all, 0 to 1
	PerSecond float64 // and at most so many; 0 is no limit
}

// NewTracer returns the tracer of one instance, which serves at addr
// (host:port). It starts traces with 128-bit ids, records what s says of them,
// and joins the spans of its callers whatever they decided. Spans carry the
// instance as a tag. Without a reporter nothing is recorded, but traces still
// have ids, for logs and error bodies.
func NewTracer(service, instance, addr string, r reporter.Reporter, s Sampling) (*zipkin.Tracer, error) {
	if r == nil {
		r, s.Share = reporter.NewNoopReporter(), 0
	}
	sampler, err := NewSampler(s)
	if err != nil {
		return nil, err
	}
	options := []zipkin.TracerOption{
		zipkin.WithLocalEndpoint(middleware.Endpoint(service, addr)),
		zipkin.WithIDGenerator(randomIDs{}),
		zipkin.WithSharedSpans(true),
		zipkin.WithSampler(sampler),
		zipkin.WithNoopSpan(true), // what is not recorded costs no tags
	}
	if instance != "" {
		options = append(options, zipkin.WithTags(map[string]string{middleware.TagInstance: instance}))
	}
	return zipkin.NewTracer(r, options...)
}

// NewSampler returns a sampler that keeps a share of all traces, and at most so
// many per second. The share goes by the trace id alone, so that every process
// that has to decide about a trace decides alike. (zipkin-go's boundary sampler
// refuses rates below 0.0001, its counting sampler below 0.01 and anything
// finer.)
func NewSampler(s Sampling) (zipkin.Sampler, error) {
	share, err := shareSampler(s.Share)
	switch {
	case err != nil:
		return nil, err
	case !(s.PerSecond >= 0):
		return nil, fmt.Errorf("%v traces per second are out of range: use 0 or more", s.PerSecond)
	case s.PerSecond == 0:
		return share, nil
	}
	limit := rate.NewLimiter(rate.Limit(s.PerSecond), int(math.Ceil(s.PerSecond)))
	return func(id uint64) bool { return share(id) && limit.Allow() }, nil
}

func shareSampler(rate float64) (zipkin.Sampler, error) {
	switch {
	case !(rate >= 0 && rate <= 1):
		return nil, fmt.Errorf("sample rate %v is out of range: use 0 to 1", rate)
	case rate == 0:
		return zipkin.NeverSample, nil
	case rate == 1:
		return zipkin.AlwaysSample, nil
	}
	limit := uint64(math.Ldexp(rate, 64)) // rate < 1, so it fits
	return func(id uint64) bool { return mix(id) < limit }, nil
}

// mix spreads ids evenly over 64 bits (the finisher of splitmix64): ids from
// elsewhere may be counters or lack their high bits.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// randomIDs makes ids without the process-wide lock of zipkin-go's generators.
type randomIDs struct{}

func (randomIDs) TraceID() model.TraceID {
	return model.TraceID{High: nonZero(), Low: nonZero()}
}

// SpanID gives the root span the low half of the trace id, as Zipkin does.
func (randomIDs) SpanID(trace model.TraceID) model.ID {
	if trace.Low != 0 {
		return model.ID(trace.Low)
	}
	return model.ID(nonZero())
}

func nonZero() uint64 {
	for {
		if v := rand.Uint64(); v != 0 {
			return v
		}
	}
}
