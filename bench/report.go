package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"google.golang.org/grpc"
)

// report is a finished run.
type report struct {
	settings
	begun      time.Time
	loadBefore string
	rows       []row
	versus     []versus
	without    string // why there are no sidecars
	sizes      []size
}

// load is what the machine had to do over the last minute, where it tells.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}

// cpu is the name of the processor, where it tells.
func cpu() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // elsewhere there is none
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// write prints the tables and the bench lines, and the Markdown file if asked.
func (r report) write(out io.Writer) error {
	var page strings.Builder
	r.tables(&page)
	if r.markdown != "" {
		if err := os.WriteFile(r.markdown, []byte(r.introduction()+page.String()), 0o644); err != nil {
			return fmt.Errorf("the tables: %w", err)
		}
	}
	fmt.Fprintf(out, "%s\n", page.String())
	r.lines(out)
	return nil
}

func (r report) introduction() string {
	note := ""
	if r.note != "" {
		note = "\n" + r.note + "\n"
	}
	return fmt.Sprintf(`# Benchmarks

%s, %d CPUs, %s/%s, %s, grpc %s, %s. Load over the minute before: %s (1.00 is one busy CPU).
%s
## How it is measured

Repeat it with `+"`make bench`"+`, or, to write this page, with
`+"`cd bench && go run . -markdown ../docs/benchmarks.md`"+`; a quiet machine helps more than
anything. All contenders call catalog.Get of the same three server processes
over loopback, from one process, with a deadline of 1 s in each call's context.
A pair is one slice of a contender and one of raw gRPC, in turns; %d pairs of %s
slices each, the pairs of all contenders interleaved, so that what else the
machine does meets everybody. "x raw" is the median of the paired ratios of the
time per call over all callers, that is, of the inverse of throughput, with the
quartiles behind it. "Caller's CPU" and allocations are the calling process's;
"all CPU" has the servers' with it. Two contenders' rows may be compared; their
microseconds, taken at different times, should not be.

## What everybody carries

| contender | what is in a call |
|---|---|
| raw gRPC | the generated stub, round robin over one channel, gRPC as it comes. It is every other row's measure, also that of rows whose servers wear a ring: its own servers never do |
| raw gRPC with kitmesh's windows | the same with the fixed flow-control windows of [ADR 0011](adr/0011-fixed-windows.md): what kitmesh's connections gain before any ring. Servers without a ring keep gRPC's own |
| kitmesh, client ring | snapshot discovery, choice of two by latency and calls in flight, ejection, gobreaker per instance, retry budget, deadline, Prometheus metrics, Zipkin tracing |
| kitmesh, both rings | the same to servers with the ring of every service: tracing, metrics, log, recover, rate limit, adaptive concurrency limit, deadline, fault injection |
| stock go-kit | kitgrpc client, gobreaker, rate limiter, Zipkin, round robin, Retry; for both rings also kitgrpc server, limiter, Zipkin. No metrics |
| Kratos | its gRPC client with discovery, recovery, tracing, metrics, breaker and its default balancer (p2c) |
| go-zero | zrpc client with its default interceptors (trace, duration, Prometheus, breaker, timeout) and p2c_ewma |

Tracing records 1 %% of the calls where nothing else is said. Spans go to a
process that drops them; those of Kratos and go-zero are dropped before they are
sent.

## Results

`, cpu(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), grpc.Version,
		r.begun.UTC().Format("2006-01-02 15:04 UTC"), r.loadBefore, note, r.pairs, r.slice)
}

func (r report) tables(w io.Writer) {
	for _, n := range callers {
		if rows := r.rowsOf(n); len(rows) > 0 {
			ratios(w, n, rows)
		}
	}
	r.sidecarTable(w)
	r.sizeTable(w)
}

func ratios(w io.Writer, callers int, rows []row) {
	fmt.Fprintf(w, "| %s | x raw | quartiles | µs per call | caller's CPU x raw | all CPU x raw | allocs over raw | KiB per call | errors |\n", plural(callers, "caller"))
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|")
	fmt.Fprintf(w, "| raw gRPC, round robin | 1.00 | | %.1f | 1.00 | 1.00 | 0 (of %.0f) | %.1f | |\n",
		median(rows[0].of(func(p pair) float64 { return p.raw.wall }))/1e3,
		median(rows[0].of(func(p pair) float64 { return p.raw.allocs })),
		median(rows[0].of(func(p pair) float64 { return p.raw.bytes }))/1024)
	for _, row := range rows {
		errs := 0
		for _, p := range row.pairs {
			errs += p.other.errs
		}
		x := row.of(xWall)
		fmt.Fprintf(w, "| %s | %.2f | %.2f-%.2f | %.1f | %.2f | %.2f | %+.0f | %.1f | %d |\n", row.what,
			median(x), quantile(x, 0.25), quantile(x, 0.75),
			median(row.of(func(p pair) float64 { return p.other.wall }))/1e3,
			median(row.of(xCPU)), median(row.of(xAll)), median(row.of(allocs)),
			median(row.of(func(p pair) float64 { return p.other.bytes }))/1024, errs)
	}
	fmt.Fprintln(w)
}

func (r report) sidecarTable(w io.Writer) {
	if r.without != "" {
		fmt.Fprintf(w, "Not compared with sidecars: %s.\n\n", r.without)
	}
	if len(r.versus) == 0 {
		return
	}
	fmt.Fprintln(w, "| to one server | calls/s, library | calls/s, sidecars | throughput over sidecars | quartiles | p50 µs, library | p50 µs, sidecars | p50 over sidecars |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|")
	for _, v := range r.versus {
		of := func(all []pace, f func(pace) float64) float64 {
			var out []float64
			for _, p := range all {
				out = append(out, f(p))
			}
			return median(out)
		}
		rate := func(p pace) float64 { return p.perSecond }
		p50 := func(p pace) float64 { return float64(p.p50) / 1e3 }
		fmt.Fprintf(w, "| %s | %.0f | %.0f | %.2f | %.2f-%.2f | %.0f | %.0f | %.2f |\n", plural(v.callers, "caller"),
			of(v.library, rate), of(v.sidecars, rate), median(v.throughput), quantile(v.throughput, 0.25), quantile(v.throughput, 0.75),
			of(v.library, p50), of(v.sidecars, p50), median(v.p50))
	}
	fmt.Fprint(w, `
The library is kitmesh with both rings, tracing at 1 %, in plain text. The
sidecars are two `+"`consul connect proxy`"+` processes of a real Consul, one next to
the caller and one next to the server: plain text between each and its program,
mTLS between the two, as they always do it; through them calls raw gRPC, to the
same server process without a ring. Everything shares the machine's CPUs, as it
does where a sidecar stands next to every instance.

`)
}

func (r report) sizeTable(w io.Writer) {
	if len(r.sizes) == 0 {
		return
	}
	fmt.Fprintln(w, "| instances | pick and book, ns | update, µs | bytes per instance |")
	fmt.Fprintln(w, "|---|---|---|---|")
	for _, s := range r.sizes {
		fmt.Fprintf(w, "| %d | %.0f | %.0f | %.0f |\n", s.instances, median(s.picks), s.update/1e3, s.bytes)
	}
	fmt.Fprint(w, `
"Pick and book" is all that Target.Do does around a try: choosing, breaker,
budget, counters. An update is the time from one instance more or less in the
source to the target having it. Bytes are of the snapshot and the target
together, without a connection, which is made when an instance is first picked.
`)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (r report) rowsOf(callers int) []row {
	var out []row
	for _, row := range r.rows {
		if row.callers == callers {
			out = append(out, row)
		}
	}
	return out
}

// lines are for programs. Without a suffix a ratio is that of 32 callers.
func (r report) lines(w io.Writer) {
	line := func(name string, value float64, unit string) {
		fmt.Fprintf(w, "bench: %s %.4g %s\n", name, value, unit)
	}
	for _, row := range r.rowsOf(1) {
		line(row.name+"_1caller", median(row.of(xWall)), "xraw")
		line(row.name+"_1caller_cpu", median(row.of(xCPU)), "xraw")
		line(row.name+"_1caller_cpu_all", median(row.of(xAll)), "xraw")
		line(row.name+"_1caller_allocs", median(row.of(allocs)), "allocs")
	}
	for _, row := range r.rowsOf(32) {
		line(row.name, median(row.of(xWall)), "xraw")
		line(row.name+"_cpu", median(row.of(xCPU)), "xraw")
		line(row.name+"_cpu_all", median(row.of(xAll)), "xraw")
		line(row.name+"_allocs", median(row.of(allocs)), "allocs")
	}
	for _, v := range r.versus {
		suffix := ""
		if v.callers == 1 {
			suffix = "_1caller"
		}
		line("throughput_over_sidecars"+suffix, median(v.throughput), "x")
		line("p50_over_sidecars"+suffix, median(v.p50), "x")
	}
	if len(r.sizes) > 0 {
		for _, s := range r.sizes {
			line(fmt.Sprintf("update_%d", s.instances), s.update/1e3, "us")
		}
		line("pick_10000_over_3", median(xPick(r.sizes)), "x")
		line("instance_bytes", r.sizes[len(r.sizes)-1].bytes, "B")
	}
}
