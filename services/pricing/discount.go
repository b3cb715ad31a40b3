package pricing

// tiers is the volume discount: from the From-th unit of a line on, each unit
// is Percent cheaper than the first. Only the units above a bound get its
// discount, so that one unit more never costs less in total.
var tiers = []struct {
	From    int
	Percent int64
}{
	{From: 1, Percent: 0},
	{From: 10, Percent: 5},
	{From: 50, Percent: 10},
	{From: 200, Percent: 15},
}

// A basket at every upper bound, times the 100 of the percentages, fits an
// int64: this line does not compile otherwise.
const _ int64 = 100 * maxCents * MaxQuantity * MaxLines

// lineTotal returns what quantity units at unit cents cost after the discount.
// The discount of the whole line is rounded once, half a cent in the customer's
// favour: 11 units at 2.49 are 27.39 less 5 % of 2 × 2.49 = 0.249, rounded to
// 0.25, which makes 27.14.
func lineTotal(unit int64, quantity int) int64 {
	var discount int64 // in hundredths of a cent
	for i, tier := range tiers {
		last := quantity
		if i+1 < len(tiers) {
			last = min(last, tiers[i+1].From-1)
		}
		if last < tier.From {
			break
		}
		discount += int64(last-tier.From+1) * unit * tier.Percent
	}
	return int64(quantity)*unit - (discount+50)/100
}
