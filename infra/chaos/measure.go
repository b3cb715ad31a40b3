package chaos

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/kitmesh/kitmesh/infra/audit"
	"github.com/kitmesh/kitmesh/infra/runner"
)

// measured is everything a run knows when it judges.
type measured struct {
	timeline
	samples  samples
	capacity float64
	seconds  []Second
	blow     time.Duration        // when the first action had been done; -1: none was
	victims  map[string]bool      // instances and parts that actions were done to
	memory   [2][]runner.Instance // at the begin and at the end of the fault
	consul   []roll
	events   []Event
	audit    *audit.Report
	auditErr error
}

// roll is one look at who is registered in Consul.
type roll struct {
	at      time.Duration
	answers bool
	passing int
	all     int // that the mesh has
}

var errNothing = errors.New("no request was due in that time")

func (m *measured) some(p Probe, w window) (samples, error) {
	some := m.samples.in(w, p.Op)
	if len(some) == 0 {
		return nil, errNothing
	}
	return some, nil
}

// shareOf measures the share of requests that are not bad.
func shareOf(bad func(sample) bool, does string) func(*measured, Probe, window, window) (value, error) {
	return func(m *measured, p Probe, w, _ window) (value, error) {
		some, err := m.some(p, w)
		if err != nil {
			return value{}, err
		}
		k, n := some.count(bad), len(some)
		return value{
			x: 1 - float64(k)/float64(n), of: "of " + thousands(n),
			bound: fmt.Sprintf("fewer than %s %s, with 95 %% confidence", percentUp(failureBound(k, n)), does),
		}, nil
	}
}

func countOf(is func(sample) bool) func(*measured, Probe, window, window) (value, error) {
	return func(m *measured, p Probe, w, _ window) (value, error) {
		some, err := m.some(p, w)
		return value{x: float64(some.count(is)), of: "of " + thousands(len(some))}, err
	}
}

func latency(q float64, of func(sample) bool) func(*measured, Probe, window, window) (value, error) {
	return func(m *measured, p Probe, w, _ window) (value, error) {
		some, err := m.some(p, w)
		if err != nil {
			return value{}, err
		}
		some = some.where(of)
		if len(some) == 0 {
			return value{}, errors.New("there was no such request")
		}
		return value{x: some.quantile(q), of: "of " + thousands(len(some))}, nil
	}
}

// stretch is a latency against that of the baseline.
func stretch(q float64, of func(sample) bool) func(*measured, Probe, window, window) (value, error) {
	return func(m *measured, p Probe, w, base window) (value, error) {
		now, err := latency(q, of)(m, p, w, base)
		if err != nil {
			return value{}, err
		}
		was, err := latency(q, of)(m, p, base, base)
		if err != nil {
			return value{}, fmt.Errorf("the baseline: %w", err)
		}
		return value{x: now.x / max(was.x, 0.001), of: fmt.Sprintf("(%.1f after %.1f ms)", now.x, was.x)}, nil
	}
}

func edgeTries(m *measured, p Probe, w, _ window) (value, error) {
	some, err := m.some(p, w)
	if err != nil {
		return value{}, err
	}
	return value{x: some.numbers().Tries, of: "of " + thousands(len(some))}, nil
}

// goodput counts what was served, however late in the phase.
func goodput(m *measured, p Probe, w, _ window) (value, error) {
	if m.capacity == 0 {
		return value{}, errors.New("the capacity is not known")
	}
	some, err := m.some(p, w)
	if err != nil {
		return value{}, err
	}
	perSecond := float64(some.count(onlyServed)) / w.seconds()
	return value{x: perSecond / m.capacity, of: fmt.Sprintf("(%.0f of %.0f/s)", perSecond, m.capacity)}, nil
}

// longestGap is the longest time of the phase in which no request ended well.
func longestGap(m *measured, p Probe, w, _ window) (value, error) {
	some, err := m.some(p, w)
	if err != nil {
		return value{}, err
	}
	ends := []time.Duration{w.from, w.to}
	for _, s := range m.samples {
		end := s.at + s.took
		if (p.Op == "" || s.op == p.Op) && !s.failed && end > w.from && end < w.to {
			ends = append(ends, end)
		}
	}
	slices.Sort(ends)
	gap := time.Duration(0)
	for i := range ends[1:] {
		gap = max(gap, ends[i+1]-ends[i])
	}
	return value{x: gap.Seconds(), of: "among " + thousands(len(some))}, nil
}

// recoveredAfter is when the last request was due that failed, or lacked a part,
// after the fault was undone.
func recoveredAfter(m *measured, p Probe, _, _ window) (value, error) {
	some, err := m.some(p, m.recovery)
	if err != nil {
		return value{}, err
	}
	last := m.recovery.from
	for _, s := range some {
		if !s.whole() {
			last = max(last, s.at)
		}
	}
	return value{x: (last - m.recovery.from).Seconds(), of: "in " + span(m.recovery.to-m.recovery.from)}, nil
}

// each second that callers spoke of a service, in a window.
func (m *measured) service(name string, w window) (some []ServiceSeconds) {
	for _, s := range m.seconds {
		at := time.Duration(s.At * float64(time.Second))
		if of, ok := s.Mesh[name]; ok && at >= w.from && at+time.Second <= w.to {
			some = append(some, of)
		}
	}
	return some
}

var errSilent = errors.New("no caller said anything about it")

// perCall is the mean of what each second says of a call.
func perCall(of func(ServiceSeconds) float64) func(*measured, Probe, window, window) (value, error) {
	return func(m *measured, p Probe, w, _ window) (value, error) {
		calls, sum := 0.0, 0.0
		for _, s := range m.service(p.Service, w) {
			calls += s.Calls
			sum += s.Calls * of(s)
		}
		if calls == 0 {
			return value{}, errSilent
		}
		return value{x: sum / calls, of: "of " + thousands(int(calls)) + " calls"}, nil
	}
}

func victimShare(m *measured, p Probe, _, _ window) (value, error) {
	if m.blow < 0 {
		return value{}, errors.New("nothing was done to anybody")
	}
	all, victims := 0.0, 0.0
	for _, s := range m.service(p.Service, window{m.blow + time.Second, m.fault.to}) {
		for id, tries := range s.Instances {
			all += tries
			if m.victims[id] {
				victims += tries
			}
		}
	}
	if all == 0 {
		return value{}, errSilent
	}
	return value{x: victims / all, of: "of " + thousands(int(all)) + " tries"}, nil
}

// ejectedAfter is as coarse as the seconds it is read from.
// lag bounds how late callers are asked for a second, and so how much too early an
// ejection may seem to have been.
const lag = 0.2

func ejectedAfter(m *measured, p Probe, _, _ window) (value, error) {
	if m.blow < 0 {
		return value{}, errors.New("nothing was done to anybody")
	}
	for _, s := range m.seconds {
		of := s.Mesh[p.Service]
		for id := range m.victims {
			after := s.At + 1 - m.blow.Seconds()
			switch out := of.Out[id]; {
			case after <= 0 || of.Ejected[id]+of.Open[id] == 0:
			case out == 0: // stock go-kit does not tell
				return value{x: after, of: "at most: it is looked at each second"}, nil
			case out <= after+lag:
				return value{x: max(after-out, 0), of: "as the caller says"}, nil
			}
		}
	}
	return value{x: (m.fault.to - m.blow).Seconds(), of: "and nobody held it out"}, nil
}

func registeredAfter(m *measured, _ Probe, _, _ window) (value, error) {
	back := time.Duration(-1)
	for i, r := range m.consul {
		switch {
		case !r.answers:
			back = -1
		case back < 0 && i > 0 && !m.consul[i-1].answers:
			back = r.at
		}
		if back >= 0 && r.answers && r.passing >= r.all {
			return value{x: (r.at - back).Seconds(), of: fmt.Sprintf("for %d instances", r.all)}, nil
		}
	}
	if back >= 0 {
		return value{x: (m.consul[len(m.consul)-1].at - back).Seconds(), of: "and not all were there"}, nil
	}
	return value{}, errors.New("it was not seen that Consul left and came back")
}

func rolledBackAfter(m *measured, p Probe, _, _ window) (value, error) {
	started := -1.
	for _, e := range m.events {
		if e.Name != "canary" || e.Error != "" || !strings.HasPrefix(e.Target, p.Service) {
			continue
		}
		if started < 0 {
			started = e.At
		}
		if strings.HasPrefix(e.Text, "rolled back") {
			return value{x: e.At - started}, nil
		}
	}
	if started < 0 {
		return value{}, errors.New("there was no canary of it")
	}
	return value{x: m.fault.to.Seconds() - started, of: "and it was still there"}, nil
}

func memoryGrowth(m *measured, p Probe, _, _ window) (value, error) {
	most, of, found := 0.0, "", false
	for _, was := range m.memory[0] {
		n := slices.IndexFunc(m.memory[1], func(i runner.Instance) bool { return i.ID == was.ID && i.PID == was.PID })
		if n < 0 || was.Service != p.Service || was.RSSBytes == 0 {
			continue
		}
		if grown := float64(m.memory[1][n].RSSBytes-was.RSSBytes) / 1e6; !found || grown > most {
			most, of, found = grown, "("+was.ID+")", true
		}
	}
	if !found {
		return value{}, errors.New("no instance of it was there before and after")
	}
	return value{x: max(most, 0), of: of}, nil
}

func violations(m *measured, p Probe, _, _ window) (value, error) {
	if m.audit == nil {
		return value{}, cmp.Or(m.auditErr, errors.New("no audit was made"))
	}
	n, skipped := 0, ""
	for _, c := range m.audit.Checks {
		if p.Check == "all" || p.Check == c.Name {
			n += len(c.Violations)
			skipped = cmp.Or(skipped, c.Skipped)
		}
	}
	if p.Check != "all" && skipped != "" {
		return value{}, fmt.Errorf("it was skipped: %s", skipped)
	}
	return value{x: float64(n), of: "in " + thousands(m.audit.Orders) + " orders"}, nil
}

// percentUp rounds up, as a bound must, with more digits where it is small.
func percentUp(share float64) string {
	scale, digits := 1e5, 3
	if share < 1e-5 {
		scale, digits = 1e8, 6
	}
	return fmt.Sprintf("%.*f %%", digits, math.Ceil(share*scale-1e-6)*100/scale)
}
