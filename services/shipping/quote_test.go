package shipping

import (
	"strings"
	"testing"

	"github.com/kitmesh/kitmesh/services/fault"
)

func euros(cents int64) Money { return Money{Amount: cents, Currency: "EUR"} }

func full(lines, quantity int) []Line {
	all := make([]Line, lines)
	for i := range all {
		all[i] = Line{SKU: "mug-enamel", Quantity: quantity}
	}
	return all
}

func TestEstimate(t *testing.T) {
	for _, c := range []struct {
		lines []Line
		value int64
		cost  int64
		days  int
	}{
		{full(1, 1), 100, 390, 2},
		{full(1, 5), 100, 390, 2},
		{full(2, 3), 100, 590, 2}, // six units on two lines
		{full(1, 20), 100, 590, 2},
		{full(1, 21), 100, 1290, 3},
		{full(1, 100), 100, 1290, 3},
		{full(1, 101), 100, 4900, 5},
		{full(1, 1000), 100, 4900, 5},
		{full(2, 501), 100, 18900, 8},
		{full(MaxLines, MaxQuantity), 100, 18900, 8}, // the largest order still has a rate
		{full(1, 1), 7499, 390, 2},
		{full(1, 1), 7500, 0, 2}, // dear baskets travel free
		{full(2, 501), 1 << 40, 0, 8},
		{full(1, 1), 0, 390, 2},
	} {
		if err := validate(c.lines); err != nil {
			t.Errorf("%d lines of %d: %v", len(c.lines), c.lines[0].Quantity, err)
		}
		got, err := estimate(c.lines, euros(c.value))
		if want := (Quote{Cost: euros(c.cost), Days: c.days}); err != nil || got != want {
			t.Errorf("%d lines of %d worth %d: %+v, %v; want %+v", len(c.lines), c.lines[0].Quantity, c.value, got, err, want)
		}
	}
}

func TestEstimateRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		lines []Line
		value Money
		code  fault.Code
	}{
		"negative value":   {full(1, 1), euros(-1), fault.Internal},
		"another currency": {full(1, 1), Money{Amount: 100, Currency: "USD"}, fault.Internal},
		"no currency":      {full(1, 1), Money{Amount: 100}, fault.Internal},
		"too many units":   {full(MaxLines+1, MaxQuantity), euros(100), fault.Invalid},
	} {
		if got, err := estimate(c.lines, c.value); fault.CodeOf(err) != c.code || got != (Quote{}) {
			t.Errorf("%s: %+v, %v; want %s", name, got, err, c.code)
		}
	}
}

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		lines []Line
		says  string
	}{
		"nothing":        {nil, "1 to 100 lines, this request has 0"},
		"too many lines": {full(101, 1), "this request has 101"},
		"zero":           {full(1, 0), "line 1: the quantity is 0; use 1 to 1000"},
		"negative":       {append(full(1, 1), full(1, -1)...), "line 2: the quantity is -1"},
		"too many units": {full(1, 1001), "line 1: the quantity is 1001"},
		"empty SKU":      {[]Line{{Quantity: 1}}, "line 1: the SKU is empty"},
	} {
		if err := validate(c.lines); fault.CodeOf(err) != fault.Invalid || !strings.Contains(fault.MessageOf(err), c.says) {
			t.Errorf("%s: got %v, want invalid: %s", name, err, c.says)
		}
	}
}
