package report

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kitmesh/kitmesh/infra/chaos"
)

// values reads a chart back: the height of each second of the line of a class,
// in the units of its scale.
func values(t *testing.T, svg, class string, time timeAxis, s scale) map[float64]float64 {
	t.Helper()
	found := regexp.MustCompile(`<path class="line ` + class + `" d="([^"]*)"`).FindStringSubmatch(svg)
	if found == nil {
		t.Fatalf("there is no line %s", class)
	}
	out, x, y := map[float64]float64{}, 0.0, 0.0
	for _, step := range regexp.MustCompile(`[MVh][^MVh]*`).FindAllString(found[1], -1) {
		numbers := strings.Fields(step[1:])
		n, err := strconv.ParseFloat(numbers[len(numbers)-1], 64)
		if err != nil {
			t.Fatal(err)
		}
		switch step[0] {
		case 'M':
			x, _ = strconv.ParseFloat(numbers[0], 64)
			y = n
		case 'V':
			y = n
		case 'h':
			for end := x + n; x < end; x += perSecond {
				out[time.from+x/perSecond] = s.value(y)
			}
		}
	}
	return out
}

// near allows for the rounding of a coordinate.
func near(a, b float64) bool { return math.Abs(a-b) <= 2e-4*max(math.Abs(a), math.Abs(b), 1) }

func journal() chaos.Journal {
	j := chaos.Journal{Name: "x", Rate: 100, Phases: []chaos.Phase{{Name: "baseline", To: 4}, {Name: "fault", From: 4, To: 10}}}
	for i := range 10 {
		s := chaos.Second{
			At: float64(i), Requests: 100 + int64(i), Failed: int64(i * i / 4), P50: 10 + float64(i)/3, P99: 20 * float64(1+i), Max: 900,
			Mesh: map[string]chaos.ServiceSeconds{"catalog": {
				Callers: 4, Calls: 100, Tries: 1 + float64(i)/50, Instances: map[string]float64{"catalog-1": float64(i), "catalog-2": 20 - float64(i)},
			}},
		}
		if i == 5 || i == 6 {
			s.Mesh["catalog"].Instances["catalog-1"] = 0
			m := s.Mesh["catalog"]
			m.Ejected, m.Open = map[string]int{"catalog-1": i - 3}, map[string]int{"catalog-1": 1}
			s.Mesh["catalog"] = m
			s.Silent = []string{"catalog-1"}
		}
		j.Seconds = append(j.Seconds, s)
	}
	j.Seconds[3].Requests, j.Seconds[3].Failed = 0, 0 // a gap
	j.Events = []chaos.Event{{At: 4, Kind: "action", Name: "kill", Target: "catalog-1"}}
	return j
}

// What a reader measures in the charts is what is in the journal.
func TestChartsMatchTheJournal(t *testing.T) {
	j := journal()
	sc := scalesOf([]chaos.Journal{j})
	if !sc.latency.log || sc.latency.min > 10 || sc.latency.max < 900 {
		t.Errorf("the scale of 10 to 900 ms is %+v", sc.latency)
	}
	tries := triesFigure(&j, sc, []string{"catalog"})
	for _, line := range []struct {
		name, class string
		svg         string
		scale       scale
		want        func(chaos.Second) float64
	}{
		{"success", "c-good", string(successFigure(&j, sc).SVG), sc.success, func(s chaos.Second) float64 { return 100 * float64(s.Requests-s.Failed) / float64(s.Requests) }},
		{"p50", "c-p50", string(latencyFigure(&j, sc).SVG), sc.latency, func(s chaos.Second) float64 { return s.P50 }},
		{"p99", "c-p99", string(latencyFigure(&j, sc).SVG), sc.latency, func(s chaos.Second) float64 { return s.P99 }},
		{"max", "c-max", string(latencyFigure(&j, sc).SVG), sc.latency, func(s chaos.Second) float64 { return s.Max }},
		{"asked", "c-asked", string(throughputFigure(&j, sc).SVG), sc.throughput, func(s chaos.Second) float64 { return float64(s.Requests) }},
		{"answered", "c-good", string(throughputFigure(&j, sc).SVG), sc.throughput, func(s chaos.Second) float64 { return float64(s.Requests - s.Failed) }},
		{"tries", "c1", string(tries.SVG), sc.tries, func(s chaos.Second) float64 { return s.Mesh["catalog"].Tries }},
	} {
		got := values(t, line.svg, line.class, sc.time, line.scale)
		for _, s := range j.Seconds {
			v, drawn := got[s.At]
			if s.Requests == 0 && (line.name == "success" || line.scale.log) {
				if drawn {
					t.Errorf("%s: %v is drawn at %v, where nothing was asked", line.name, v, s.At)
				}
				continue
			}
			if want := line.want(s); !drawn || !near(v, want) {
				t.Errorf("%s at %v: %v is drawn, want %v", line.name, s.At, v, want)
			}
		}
	}
}

// The share of the one that was hurt lies at the bottom.
func TestTrafficMatchesTheJournal(t *testing.T) {
	j := journal()
	about := subjectsOf([]chaos.Journal{j})
	f := trafficFigure(&j, scalesOf([]chaos.Journal{j}), about, "catalog")
	if f.Keys[0] != (key{Class: "a-v1", Area: true, Text: "catalog-1"}) || f.Keys[1].Text != "catalog-2" {
		t.Errorf("from the bottom: %+v", f.Keys)
	}
	bars := regexp.MustCompile(`M([\d.]+) ([\d.]+)h10V([\d.]+)h-10z`)
	path := regexp.MustCompile(`class="area a-v1" d="([^"]*)"`).FindStringSubmatch(string(f.SVG))
	drawn := map[float64]float64{}
	for _, bar := range bars.FindAllStringSubmatch(path[1], -1) {
		x, _ := strconv.ParseFloat(bar[1], 64)
		top, _ := strconv.ParseFloat(bar[2], 64)
		bottom, _ := strconv.ParseFloat(bar[3], 64)
		drawn[x/perSecond] = (bottom - top) / full * 100
	}
	for _, s := range j.Seconds {
		in := s.Mesh["catalog"].Instances
		if want := 100 * in["catalog-1"] / (in["catalog-1"] + in["catalog-2"]); !near(drawn[s.At], want) {
			t.Errorf("at %v catalog-1 has %v %%, want %v", s.At, drawn[s.At], want)
		}
	}
	if want := "catalog-1: baseline 7.5 %, fault 25.7 %"; f.Note != want {
		t.Errorf("the note says %q, want %q", f.Note, want)
	}
}

// A lane is as high as the share of the callers, where and as long as they say.
func TestLanesMatchTheJournal(t *testing.T) {
	j := journal()
	about := subjectsOf([]chaos.Journal{j})
	f := lanesFigure(&j, scalesOf([]chaos.Journal{j}), about)
	for _, want := range []string{
		`<rect class="a-out" x="50%" width="10%" y="9.5" height="5.5"/>`, // 2 of 4 callers
		`<rect class="a-out" x="60%" width="10%" y="6.75" height="8.25"/>`,
		`<rect class="a-open" x="50%" width="20%" y="12.25" height="2.75"/>`,
		`<rect class="a-silent" x="50%" width="20%" y="16" height="4"/>`,
		`catalog-1 out of rotation for 2 s from 0:05, with an open breaker for 2 s from 0:05, silent for 2 s from 0:05`,
	} {
		if !strings.Contains(string(f.SVG), want) {
			t.Errorf("the lanes lack %s\n%s", want, f.SVG)
		}
	}
}

// Where a process was paused or killed the traffic of its service is shown; with
// no victim, of those of which an instance was out.
func TestStruck(t *testing.T) {
	j := journal()
	j.Seconds[5].Mesh["orders"] = chaos.ServiceSeconds{Callers: 1, Ejected: map[string]int{"orders-1": 1}}
	if about := subjectsOf([]chaos.Journal{j}); !slices.Equal(about.struck(), []string{"catalog"}) || !slices.Equal(about.hurt, []string{"catalog", "orders"}) {
		t.Errorf("struck %q of %q", about.struck(), about.hurt)
	}
	j.Events = nil
	if about := subjectsOf([]chaos.Journal{j}); !slices.Equal(about.struck(), []string{"catalog", "orders"}) {
		t.Errorf("without victims: %q", about.struck())
	}
}

func TestScales(t *testing.T) {
	for _, s := range []scale{linear(0, 240), linear(1, 1.1), linear(0.9, 3), logarithmic(9, 1001), logarithmic(0.4, 0.5), successScale(99.99), successScale(3), linear(5, 5)} {
		if len(s.ticks) < 2 || s.ticks[0] < s.min-1e-9 || s.ticks[len(s.ticks)-1] > s.max+1e-9 || len(s.ticks) > 7 {
			t.Errorf("ticks %v of %v to %v", s.ticks, s.min, s.max)
		}
		for _, v := range []float64{s.min, (s.min + s.max) / 2, s.max} {
			if got := s.value(s.y(v)); !near(got, v) {
				t.Errorf("%v comes back as %v", v, got)
			}
		}
	}
	if worst := 99.97; successScale(worst).min > worst {
		t.Error("the worst second is not on the scale")
	}
}

func TestWords(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{percent(1), "100.000 %"}, {percent(0.9999999), "99.999 %"}, {percent(0.29), "29.000 %"},
		{count(1234567), "1,234,567"}, {count(12), "12"}, {number(1.0004), "1"}, {number(12.34), "12.3"},
		{clock(125), "2:05"}, {moment(25.14), "0:25.1"}, {tickName(99.95), "99.95"}, {plural(1, "order"), "1 order"},
		{confidence(chaos.Stats{Requests: 300_000, Bound: 0.00001}), "fewer than 0.0010 % fail, with 95 % confidence"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}
