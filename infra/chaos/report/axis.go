package report

import (
	"math"
	"slices"
	"strconv"

	"github.com/kitmesh/kitmesh/infra/chaos"
)

// timeAxis is the time that all charts of a run, and of those beside it, share,
// in seconds since the run began.
type timeAxis struct{ from, to float64 }

// perSecond is how many units of a path make a second.
const perSecond = 10

func timeOf(journals []chaos.Journal) timeAxis {
	a := timeAxis{0, 1}
	for _, j := range journals {
		for _, p := range j.Phases {
			a.to = max(a.to, p.To) // a last second that is not whole ends with it
		}
		for _, s := range j.Seconds {
			a.from, a.to = min(a.from, s.At), max(a.to, s.At)
		}
		if len(j.Phases) == 0 && len(j.Seconds) > 0 {
			a.to = max(a.to, j.Seconds[len(j.Seconds)-1].At+1)
		}
		for _, e := range j.Events {
			a.to = max(a.to, e.At)
		}
	}
	a.to = min(a.to, a.from+24*3600) // a damaged time makes no endless axis
	return a
}

// at is where a moment is, in percent of the width.
func (a timeAxis) at(t float64) string { return short(100*(t-a.from)/(a.to-a.from)) + "%" }

// x is where a moment is in a path.
func (a timeAxis) x(t float64) float64 { return (t - a.from) * perSecond }

func (a timeAxis) width() float64 { return (a.to - a.from) * perSecond }

// ticks are about six round moments.
func (a timeAxis) ticks() (at []float64) {
	step := 1.0
	for _, s := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400} {
		if step = s; (a.to-a.from)/s <= 7 {
			break
		}
	}
	for t := math.Ceil(a.from/step) * step; t <= a.to; t += step {
		at = append(at, t)
	}
	return at
}

// scale places values on the height of a chart.
type scale struct {
	min, max float64
	log      bool
	ticks    []float64
}

// full is the height of a path's picture; 0 is at the top.
const full = 1000

// y is where a value is in a path; values beyond the scale stay at its edge.
func (s scale) y(v float64) float64 {
	at := func(x float64) float64 {
		if s.log {
			return math.Log(max(x, s.min))
		}
		return x
	}
	part := (at(v) - at(s.min)) / (at(s.max) - at(s.min))
	return full * (1 - min(max(part, 0), 1))
}

// value is what is at y: the inverse, for those who check a chart.
func (s scale) value(y float64) float64 {
	part := 1 - y/full
	if s.log {
		return s.min * math.Pow(s.max/s.min, part)
	}
	return s.min + part*(s.max-s.min)
}

// limit is more than any value that a chart could show.
const limit = 1e12

// linear is a scale with round ticks that covers low to high.
func linear(low, high float64) scale {
	if math.IsNaN(low) {
		low = 0
	}
	low, high = min(max(low, 0), limit), min(high, limit)
	if !(high > low) {
		high = low + 1
	}
	step := math.Pow10(int(math.Floor(math.Log10((high - low) / 3))))
	for _, f := range []float64{1, 2, 2.5, 5, 10} {
		if (high-low)/(step*f) <= 4 {
			step *= f
			break
		}
	}
	s := scale{min: math.Floor(low/step+1e-9) * step, max: math.Ceil(high/step-1e-9) * step}
	for i := 0; ; i++ {
		t := s.min + float64(i)*step
		if t > s.max+step/2 {
			return s
		}
		s.ticks = append(s.ticks, math.Round(t*1e9)/1e9)
	}
}

// logarithmic is a scale of 1, 2 and 5 times powers of ten that covers low to high.
func logarithmic(low, high float64) scale {
	var all []float64
	for e := -3; e <= 7; e++ {
		for _, f := range []float64{1, 2, 5} {
			all = append(all, f*math.Pow10(e))
		}
	}
	from, _ := slices.BinarySearch(all, low*1.0001)
	to, _ := slices.BinarySearch(all, high*0.9999)
	from, to = max(from-1, 0), min(max(to, from+1), len(all)-1)
	s := scale{min: all[from], max: all[to], log: true}
	for i := from; i <= to; i++ {
		if to-from <= 5 || i%3 == 0 { // over many decades the powers of ten are enough
			s.ticks = append(s.ticks, all[i])
		}
	}
	return s
}

// latencyScale is logarithmic where the highest is far from the lowest.
func latencyScale(low, high float64) scale {
	if low > 0 && high/low >= 8 {
		return logarithmic(low, high)
	}
	return linear(0, high)
}

// successScale begins so far below 100 % that the worst second is on it.
func successScale(worst float64) scale {
	for _, low := range []float64{99.9, 99.5, 99, 98, 95, 90, 80, 60, 0} {
		if worst >= low+(100-low)*0.1 || low == 0 {
			mid := low + (100-low)/2
			return scale{min: low, max: 100, ticks: []float64{low, mid, 100}}
		}
	}
	return scale{}
}

// short writes a coordinate in as few bytes as show.
func short(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return "0"
	}
	return trimZeros(strconv.FormatFloat(x, 'f', 2, 64))
}
