package pricing

import (
	"math/big"
	"testing"
)

func TestLineTotal(t *testing.T) {
	for _, c := range []struct {
		unit     int64
		quantity int
		want     int64
	}{
		{1000, 1, 1000},
		{1000, 9, 9000},
		{1000, 10, 9950},                          // 1 × 5 %
		{1000, 49, 49_000 - 2000},                 // 40 × 5 %
		{1000, 50, 50_000 - 2100},                 // and 1 × 10 %
		{1000, 199, 199_000 - 2000 - 15_000},      // 150 × 10 %
		{1000, 200, 200_000 - 17_000 - 150},       // and 1 × 15 %
		{1000, 1000, 1_000_000 - 17_000 - 120150}, // 801 × 15 %
		{249, 11, 2714},                           // 24.9 cents off, rounded to 25
		{10, 10, 99},                              // half a cent off is a cent
		{9, 10, 90},                               // 0.45 is nothing
		{1, 10, 10},
		{1, 19, 18}, // ten times 0.05 is half a cent
	} {
		if got := lineTotal(c.unit, c.quantity); got != c.want {
			t.Errorf("%d units at %d cost %d, want %d", c.quantity, c.unit, got, c.want)
		}
	}
}

// Exact arithmetic over every quantity: never off by more than half a cent, and
// one unit more never costs less.
func TestLineTotalAgainstExactSums(t *testing.T) {
	for _, unit := range []int64{1, 2, 3, 7, 9, 10, 249, 990, 38_900, maxCents - 1, maxCents} {
		exact, before := new(big.Rat), int64(0)
		for quantity := 1; quantity <= MaxQuantity; quantity++ {
			percent := int64(0)
			for _, tier := range tiers {
				if quantity >= tier.From {
					percent = tier.Percent
				}
			}
			exact.Add(exact, big.NewRat(unit*(100-percent), 100))
			got := lineTotal(unit, quantity)
			off := new(big.Rat).Sub(new(big.Rat).SetInt64(got), exact)
			if off.Abs(off).Cmp(big.NewRat(1, 2)) > 0 {
				t.Fatalf("%d × %d: %d is off by %s", quantity, unit, got, off)
			}
			if got < before {
				t.Fatalf("%d × %d costs %d, one less costs %d", quantity, unit, got, before)
			}
			before = got
		}
	}
}

func TestTiersAreInOrder(t *testing.T) {
	if tiers[0].From != 1 {
		t.Error("the first tier must start with the first unit")
	}
	for i, tier := range tiers {
		if tier.Percent < 0 || tier.Percent > 100 || i > 0 && (tier.From <= tiers[i-1].From || tier.Percent <= tiers[i-1].Percent) {
			t.Errorf("tier %d is %+v", i, tier)
		}
	}
}
