package pricing_test

import (
	"strings"
	"testing"

	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/services/pricing"
)

func newPricing(t *testing.T) pricing.Service {
	t.Helper()
	p, err := pricing.New()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func repeat(n int, line pricing.Line) []pricing.Line {
	lines := make([]pricing.Line, n)
	for i := range lines {
		lines[i] = line
	}
	return lines
}

func TestQuote(t *testing.T) {
	p := newPricing(t)
	quote, err := p.Quote(t.Context(), pricing.QuoteRequest{Lines: []pricing.Line{
		{SKU: "tea-assam-100", Quantity: 2},
		{SKU: "oat-drink-1l", Quantity: 11},
		{SKU: "tea-assam-100", Quantity: 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	eur := func(cents int64) pricing.Money { return pricing.Money{Amount: cents, Currency: "EUR"} }
	want := []pricing.PricedLine{
		{SKU: "tea-assam-100", Quantity: 2, Unit: eur(690), Total: eur(1380)},
		{SKU: "oat-drink-1l", Quantity: 11, Unit: eur(249), Total: eur(2714)},
		{SKU: "tea-assam-100", Quantity: 1, Unit: eur(690), Total: eur(690)},
	}
	if len(quote.Lines) != len(want) {
		t.Fatalf("%d lines, want %d", len(quote.Lines), len(want))
	}
	for i := range want {
		if quote.Lines[i] != want[i] {
			t.Errorf("line %d is %+v, want %+v", i+1, quote.Lines[i], want[i])
		}
	}
	if quote.Total != eur(1380+2714+690) {
		t.Errorf("the total is %+v", quote.Total)
	}
}

// Two lines of one SKU are priced apart: nine and nine get no discount,
// eighteen do.
func TestDuplicatesAreAllowed(t *testing.T) {
	p := newPricing(t)
	apart, err := p.Quote(t.Context(), pricing.QuoteRequest{Lines: repeat(2, pricing.Line{SKU: "mug-enamel", Quantity: 9})})
	if err != nil {
		t.Fatal(err)
	}
	together, err := p.Quote(t.Context(), pricing.QuoteRequest{Lines: repeat(1, pricing.Line{SKU: "mug-enamel", Quantity: 18})})
	if err != nil {
		t.Fatal(err)
	}
	if apart.Total.Amount != 18*1290 || together.Total.Amount >= apart.Total.Amount {
		t.Errorf("apart %d, together %d", apart.Total.Amount, together.Total.Amount)
	}
}

func TestQuoteRefuses(t *testing.T) {
	p := newPricing(t)
	good := pricing.Line{SKU: "mug-enamel", Quantity: 1}
	for name, c := range map[string]struct {
		lines []pricing.Line
		code  fault.Code
		says  string
	}{
		"nothing":           {nil, fault.Invalid, "1 to 100 lines, this request has 0"},
		"too many lines":    {repeat(101, good), fault.Invalid, "this request has 101"},
		"zero":              {[]pricing.Line{good, {SKU: "mug-enamel"}}, fault.Invalid, "line 2: the quantity is 0; use 1 to 1000"},
		"negative":          {[]pricing.Line{{SKU: "mug-enamel", Quantity: -3}}, fault.Invalid, "line 1: the quantity is -3"},
		"too many units":    {[]pricing.Line{{SKU: "mug-enamel", Quantity: 1001}}, fault.Invalid, "line 1: the quantity is 1001"},
		"largest int":       {[]pricing.Line{{SKU: "mug-enamel", Quantity: int(^uint(0) >> 1)}}, fault.Invalid, "use 1 to 1000"},
		"unknown":           {[]pricing.Line{good, {SKU: "mug-golden", Quantity: 1}}, fault.NotFound, `line 2: there is no price for "mug-golden"`},
		"empty SKU":         {[]pricing.Line{{Quantity: 1}}, fault.NotFound, `no price for ""`},
		"bad before absent": {[]pricing.Line{{SKU: "mug-golden", Quantity: 0}}, fault.Invalid, "quantity is 0"},
	} {
		quote, err := p.Quote(t.Context(), pricing.QuoteRequest{Lines: c.lines})
		if fault.CodeOf(err) != c.code || !strings.Contains(fault.MessageOf(err), c.says) {
			t.Errorf("%s: got %v, want %s: %s", name, err, c.code, c.says)
		}
		if quote.Lines != nil || quote.Total != (pricing.Money{}) {
			t.Errorf("%s: a quote beside an error: %+v", name, quote)
		}
	}
}

func TestLargestBasket(t *testing.T) {
	p := newPricing(t)
	quote, err := p.Quote(t.Context(), pricing.QuoteRequest{Lines: repeat(pricing.MaxLines, pricing.Line{SKU: "limited-teapot-kintsugi", Quantity: pricing.MaxQuantity})})
	if err != nil {
		t.Fatal(err)
	}
	// 1000 units less 40 × 5 %, 150 × 10 % and 801 × 15 %, a hundred times.
	if want := int64(100) * (1000*38900 - (40*38900*5+150*38900*10+801*38900*15)/100); quote.Total.Amount != want {
		t.Errorf("the total is %d, want %d", quote.Total.Amount, want)
	}
}
