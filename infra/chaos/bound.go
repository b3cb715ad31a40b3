package chaos

import "math"

// confidence of every bound.
const confidence = 0.95

// failureBound returns the share of failures that the true one does not exceed,
// with 95 % confidence, after k failures in n requests: 3/n after none (the rule
// of three), else the upper end of the one-sided Clopper-Pearson interval. It is
// 1 where nothing is known.
func failureBound(k, n int) float64 {
	switch {
	case k >= n:
		return 1
	case k == 0:
		return min(1, 3/float64(n))
	}
	low, high := float64(k)/float64(n), 1.0
	for range 50 {
		if p := (low + high) / 2; atMost(k, n, p) > 1-confidence {
			low = p
		} else {
			high = p
		}
	}
	return high
}

// atMost is the probability of at most k failures in n requests that fail with
// probability p each.
func atMost(k, n int, p float64) float64 {
	term := float64(n) * math.Log1p(-p) // the logarithm of that of none
	odds := math.Log(p) - math.Log1p(-p)
	sum := math.Exp(term)
	for i := range k {
		term += math.Log(float64(n-i)) - math.Log(float64(i+1)) + odds
		sum += math.Exp(term)
	}
	return sum
}
