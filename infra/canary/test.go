package canary

import "math"

// fisher is the probability that of two groups with the same rate of failures,
// the first has at least failed of n when both together have as many as they
// have: Fisher's exact test, one-sided.
func fisher(failed, n, othersFailed, others uint64) float64 {
	all, bad := n+others, failed+othersFailed
	p := 0.0
	for k := failed; k <= min(n, bad); k++ {
		term := math.Exp(choose(n, k) + choose(others, bad-k) - choose(all, bad))
		p += term
		if term < p*1e-12 {
			break // they only get smaller from here on
		}
	}
	return min(p, 1)
}

// choose is the logarithm of the binomial coefficient.
func choose(n, k uint64) float64 {
	if k > n {
		return math.Inf(-1)
	}
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}

// coin is the probability of at least k heads in n throws.
func coin(k, n int) float64 {
	p := 0.0
	for i := k; i <= n; i++ {
		p += math.Exp(choose(uint64(n), uint64(i)) - float64(n)*math.Ln2) //nolint:gosec // both are counts
	}
	return min(p, 1)
}

// spent is the part of alpha that the n-th look at the data may use: all looks
// together, however many, use no more than alpha.
func spent(alpha float64, n int) float64 { return alpha / (float64(n) * float64(n+1)) }

// looks spaces the looks out, so that few share alpha: each at a quarter more
// tries than the one before.
type looks struct {
	n    int
	next uint64
}

func (l *looks) due(tries uint64) bool {
	if tries < l.next {
		return false
	}
	l.n++
	l.next = tries + max(tries/4, 2)
	return true
}

func (l *looks) alpha(all float64) float64 { return spent(all, l.n) }
