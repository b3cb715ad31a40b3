package action

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kitmesh/kitmesh/infra/runner"
	"github.com/kitmesh/kitmesh/services/fault"
)

// Problem is what is wrong with one field, named as in an experiment's file.
type Problem struct{ Field, Text string }

func (p Problem) Error() string { return p.Field + ": " + p.Text }

// Names lists the actions.
func Names() []string { return slices.Sorted(maps.Keys(kinds)) }

// Parts lists what a target can be besides a service.
var Parts = []string{"consul", "broker", "zipkin", "provider", "edge"}

// bounds of what an action may be asked for
const (
	maxLatency = time.Minute
	maxWorkers = 64
	maxWorking = 10 * time.Minute // of a CPU burn
)

// Check says what is wrong with the fields of s, all at once: fields that the
// action does not take, that it misses, and values out of range.
func (s Spec) Check() []Problem {
	kind, ok := kinds[s.Action]
	if !ok {
		return []Problem{{"action", fmt.Sprintf("there is no %q; there are %s", s.Action, strings.Join(Names(), ", "))}}
	}
	var problems []Problem
	for _, f := range s.fields() {
		switch {
		case f.set && !slices.Contains(kind.needs, f.name) && !slices.Contains(kind.takes, f.name):
			problems = append(problems, Problem{f.name, s.Action + " does not take it" + kind.list()})
		case !f.set && slices.Contains(kind.needs, f.name):
			problems = append(problems, Problem{f.name, s.Action + " needs it"})
		case f.set && f.trouble != "":
			problems = append(problems, Problem{f.name, f.trouble})
		}
	}
	if kind.either != nil && !slices.ContainsFunc(s.fields(), func(f field) bool { return f.set && slices.Contains(kind.either, f.name) }) {
		problems = append(problems, Problem{kind.either[0], s.Action + " needs " + strings.Join(kind.either, " or ")})
	}
	return problems
}

// field is one of Spec's.
type field struct {
	name    string
	set     bool
	trouble string // with its value
}

func (s Spec) fields() []field {
	span := func(name string, d, most time.Duration) field {
		return field{name, d != 0, unless(d >= 0 && d <= most, "it is a duration up to %v, not %v", most, d)}
	}
	return []field{
		{"target", s.Target != "", ""},
		{"signal", s.Signal != "", unless(signalOf(s.Signal) != 0, "%q is no signal; try KILL, TERM or INT", s.Signal)},
		span("every", s.Every, time.Hour),
		span("for", s.For, time.Hour),
		span("restart-after", s.RestartAfter, time.Hour),
		span("latency", s.Latency, maxLatency),
		span("jitter", s.Jitter, maxLatency),
		{"rate", s.Rate != 0, unless(s.Rate > 0 && s.Rate <= 1, "it is a share above 0 and up to 1, not %v", s.Rate)},
		{"code", s.Code != "", unless(slices.Contains(fault.Codes(), fault.Code(s.Code)), "there is no %q; there are %v", s.Code, fault.Codes())},
		{"instances", s.Instances != 0, unless(s.Instances > 0 && s.Instances <= 50, "1 to 50, not %d", s.Instances)},
		{"version", s.Version != "", unless(versionForm.MatchString(s.Version), "%q is not made of up to 20 lower-case letters, digits and dots, a letter first", s.Version)},
		{"peers", len(s.Peers) > 0, peersTrouble(s.Peers)},
		{"workers", s.Workers != 0, unless(s.Workers > 0 && s.Workers <= maxWorkers, "1 to %d, not %d", maxWorkers, s.Workers)},
	}
}

func unless(ok bool, format string, args ...any) string {
	if ok {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

var versionForm = regexp.MustCompile(`^[a-z][a-z0-9.]{0,19}$`)

func peersTrouble(peers []string) string {
	for _, p := range peers {
		if !slices.Contains(runner.Services, p) && !slices.Contains(Parts, p) {
			return fmt.Sprintf("%q is neither a service (%s) nor a part (%s)", p, strings.Join(runner.Services, ", "), strings.Join(Parts, ", "))
		}
	}
	return ""
}

// signalOf returns the number of KILL, SIGKILL or kill; 0 if it is none.
func signalOf(name string) unix.Signal {
	return unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG"))
}

// Check says what is wrong with a target, whatever is done to it.
func (t Target) Check() []Problem {
	var problems []Problem
	add := func(field, text string) {
		if text != "" {
			problems = append(problems, Problem{field, text})
		}
	}
	switch {
	case (t.Service == "") == (t.Part == ""):
		add("service", "a target is either a service or a part")
	case t.Service != "":
		add("service", unless(slices.Contains(runner.Services, t.Service), "there is no %q; there are %s", t.Service, strings.Join(runner.Services, ", ")))
	default:
		add("part", unless(slices.Contains(Parts, t.Part), "there is no %q; there are %s", t.Part, strings.Join(Parts, ", ")))
		add("min-healthy", unless(t.MinHealthy == 0, "a part has no instances to count"))
	}
	_, err := selection(t.Select)
	add("select", unless(err == nil, "%v", err))
	add("pick", unless(slices.Contains([]string{"", pickRound, pickRandom, pickSame}, t.Pick), "%q is neither round-robin, random nor same", t.Pick))
	add("min-healthy", unless(t.MinHealthy >= 0, "it is not negative"))
	return problems
}

var selectForm = regexp.MustCompile(`^(COUNT|PERCENT)\((\d{1,3})\)$`)

// selection returns how many of n a select takes: at least one of any.
func selection(text string) (func(n int) int, error) {
	switch text {
	case "":
		return func(int) int { return 1 }, nil
	case "ALL":
		return func(n int) int { return n }, nil
	}
	m := selectForm.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("%q is neither ALL, COUNT(n) nor PERCENT(n)", text)
	}
	k, _ := strconv.Atoi(m[2])
	switch {
	case k == 0:
		return nil, fmt.Errorf("%s selects nobody", text)
	case m[1] == "COUNT":
		return func(n int) int { return min(k, n) }, nil
	case k > 100:
		return nil, fmt.Errorf("%s is more than all", text)
	}
	return func(n int) int { return min(n, max(1, n*k/100)) }, nil
}
