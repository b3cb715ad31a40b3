package target

import (
	"fmt"
	"strings"
	"time"
)

const (
	simSlice = 100 * time.Millisecond // of time, to see success come back
	simGrain = 100 * time.Microsecond // of latencies
	simWell  = 0.999                  // success that counts as well again
)

// simTally counts what the customers see.
type simTally struct {
	from, to, end time.Duration // what the table is about, and the end of arrivals that count
	slices        []simCount    // by the begin of the calls
	latencies     [int(simDeadline/simGrain) + 2]int
	counted       simCount
	longest       time.Duration
	tries         int
	late          struct{ tries, victims int } // from one second after from on
}

type simCount struct{ calls, good int }

func (c simCount) success() float64 {
	if c.calls == 0 {
		return 1
	}
	return float64(c.good) / float64(c.calls)
}

func (c *simCount) add(good bool) {
	c.calls++
	if good {
		c.good++
	}
}

func newSimTally(from, to, end time.Duration) simTally {
	return simTally{from: from, to: to, end: end, slices: make([]simCount, end/simSlice)}
}

// sent counts a try.
func (t *simTally) sent(now time.Duration, victim bool) {
	if now < t.from+time.Second || now >= t.to {
		return
	}
	t.late.tries++
	if victim {
		t.late.victims++
	}
}

// ended counts a call.
func (t *simTally) ended(began, now time.Duration, tries int, err error) {
	if began >= t.end {
		return
	}
	t.slices[began/simSlice].add(err == nil)
	if began < t.from || began >= t.to {
		return
	}
	t.counted.add(err == nil)
	t.tries += tries
	took := now - began
	t.longest = max(t.longest, took)
	t.latencies[min(int(took/simGrain), len(t.latencies)-1)]++
}

func (t *simTally) percentile(p float64) time.Duration {
	left := int(p * float64(t.counted.calls))
	for i, n := range t.latencies {
		if left -= n; left < 0 {
			return time.Duration(i+1) * simGrain
		}
	}
	return t.longest
}

// well returns when success was back for good, since from; negative: not yet.
func (t *simTally) well() time.Duration {
	for i := len(t.slices) - 1; i >= int(t.from/simSlice); i-- {
		if t.slices[i].success() < simWell {
			if i == len(t.slices)-1 {
				return -1
			}
			return time.Duration(i+1)*simSlice - t.from
		}
	}
	return 0
}

// simResult is a row of the table.
type simResult struct {
	scale         simScale
	scenario      simScenario
	stack         simStack
	success       float64
	p50, p99, max time.Duration
	tries         float64 // per call
	well          time.Duration
	share         float64 // of the tries, to victims, one second later
	goodput       float64 // part of the capacity
	last          float64 // success of the last second
}

func (t *simTally) result(s simScenario, stack simStack, scale simScale) simResult {
	r := simResult{
		scale: scale, scenario: s, stack: stack,
		success: t.counted.success(), p50: t.percentile(0.5), p99: t.percentile(0.99), max: t.longest,
		tries: float64(t.tries) / float64(max(t.counted.calls, 1)),
		well:  t.well(),
		share: float64(t.late.victims) / float64(max(t.late.tries, 1)),
	}
	r.goodput = float64(t.counted.good) / (t.to - t.from).Seconds() / scale.rate(1)
	var last simCount
	for _, c := range t.slices[len(t.slices)-int(time.Second/simSlice):] {
		last.calls, last.good = last.calls+c.calls, last.good+c.good
	}
	r.last = last.success()
	return r
}

// simTable is the results in Markdown.
func simTable(rows []simResult) string {
	var b strings.Builder
	fmt.Fprintln(&b, "| scenario | calls by | knows | success | p50 ms | p99 ms | max ms | tries per call | to victims | well again | goodput | at the end |")
	fmt.Fprintln(&b, "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for i, r := range rows {
		name := ""
		if i == 0 || rows[i-1].scenario.name != r.scenario.name {
			name = fmt.Sprintf("**%s**: %s ", r.scenario.name, r.scenario.what)
		}
		fmt.Fprintf(&b, "| %s%s\n", name, r)
	}
	return b.String()
}

// String is a row of the table without the scenario.
func (r simResult) String() string {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond)) }
	percent := func(part float64) string { return fmt.Sprintf("%.3f %%", 100*part) }
	well, share, knows := "never", "-", r.scale.instances
	switch {
	case r.well == 0:
		well = "at once"
	case r.well > 0:
		well = fmt.Sprintf("%.1f s", r.well.Seconds())
	}
	if r.scenario.victim != nil {
		share = fmt.Sprintf("%.2f %%", 100*r.share)
	}
	if r.stack == simKitmesh {
		knows = r.scale.subset
	}
	return fmt.Sprintf("| %s | %d | %s | %s | %s | %s | %.3f | %s | %s | %.1f %% | %s |", r.stack, knows,
		percent(r.success), ms(r.p50), ms(r.p99), ms(r.max), r.tries, share, well, 100*r.goodput, percent(r.last))
}
