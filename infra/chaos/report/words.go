package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kitmesh/kitmesh/infra/chaos"
)

// percent never rounds a failure away: what is not all is less than 100 %.
func percent(share float64) string {
	if math.IsNaN(share) {
		return "-"
	}
	return strconv.FormatFloat(math.Floor(share*100_000+1e-6)/1000, 'f', 3, 64) + " %"
}

// number has as many digits as a reader can use: 3 that say something.
func number(x float64) string {
	switch size := math.Abs(x); {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return "-"
	case size >= 1000:
		return count(int64(math.Round(x)))
	case size >= 100:
		return strconv.FormatFloat(x, 'f', 0, 64)
	case size >= 10:
		return trimZeros(strconv.FormatFloat(x, 'f', 1, 64))
	}
	return trimZeros(strconv.FormatFloat(x, 'f', 3, 64))
}

// tenths is for columns, where the points stand below each other.
func tenths(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return "-"
	}
	if math.Abs(x) >= 999.95 {
		return count(int64(math.Round(x)))
	}
	return strconv.FormatFloat(x, 'f', 1, 64)
}

// tries shows one retry in a thousand requests.
func tries(x float64) string { return strconv.FormatFloat(x, 'f', 3, 64) }

// tickName is exact: a tick that is rounded lies.
func tickName(x float64) string {
	if math.Abs(x) >= 1000 {
		return count(int64(math.Round(x)))
	}
	return trimZeros(strconv.FormatFloat(x, 'f', 6, 64))
}

func trimZeros(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// count writes 36,000.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(s) - 3; i > first; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// ms writes a time in milliseconds as people say it.
func ms(x float64) string {
	if x >= 10_000 {
		return number(x/1000) + " s"
	}
	return number(x) + " ms"
}

// clock writes seconds since the run began as 2:05.
func clock(seconds float64) string {
	s := int(math.Round(seconds))
	if s < 0 {
		return "-" + clock(-seconds)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// moment is clock with tenths.
func moment(seconds float64) string {
	tenths := int(math.Round(math.Abs(seconds) * 10))
	return fmt.Sprintf("%d:%02d.%d", tenths/600, tenths/10%60, tenths%10)
}

// span writes how long something took, as 2 min 5 s.
func span(d time.Duration) string {
	d = d.Round(time.Second)
	if d < time.Minute {
		return fmt.Sprintf("%d s", d/time.Second)
	}
	return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
}

// plural writes "1 order" and "2 orders".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count(int64(n)) + " " + noun + "s"
}

// failures lists "timeout 3, unavailable 1".
func failures(m map[string]int64) string {
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(m)) {
		if m[code] > 0 {
			parts = append(parts, code+" "+count(m[code]))
		}
	}
	return strings.Join(parts, ", ")
}

// confidence says how sure the success of a phase is.
func confidence(s chaos.Stats) string {
	if s.Requests == 0 || s.Bound <= 0 {
		return ""
	}
	digits := 3
	for x := s.Bound * 100; x < 0.01 && digits < 6; x *= 10 {
		digits++
	}
	return "fewer than " + strconv.FormatFloat(s.Bound*100, 'f', digits, 64) + " % fail, with 95 % confidence"
}

// ratio writes 1.12x, or nothing where there is nothing to compare with.
func ratio(is, was float64) string {
	if was <= 0 || is <= 0 {
		return ""
	}
	if is/was >= 10 {
		return tenths(is/was) + "x"
	}
	return strconv.FormatFloat(is/was, 'f', 2, 64) + "x"
}
