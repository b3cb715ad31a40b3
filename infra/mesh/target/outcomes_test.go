package target

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// A register of bits is the same as a list that is cut to the last 63.
func TestOutcomesProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o outcomes
		var list []bool
		for _, failed := range rapid.SliceOfN(rapid.Bool(), 0, 200).Draw(t, "tries") {
			o.add(failed)
			if list = append(list, failed); len(list) > remembered {
				list = list[1:]
			}
			k := rapid.IntRange(1, remembered).Draw(t, "k")
			want := 0
			for _, failed := range list[max(len(list)-k, 0):] {
				if failed {
					want++
				}
			}
			if f, n := o.last(k); f != want || n != min(len(list), k) {
				t.Fatalf("%d of the last %d failed, want %d of %d", f, n, want, min(len(list), k))
			}
		}
	})
}

// Successes of a sound instance write nothing once the register is full.
func TestOutcomesOfASoundInstance(t *testing.T) {
	var o outcomes
	for range 100 {
		o.add(false)
	}
	was := o.bits.Load()
	if o.add(false); o.bits.Load() != was || was != 1<<remembered {
		t.Errorf("bits %x after %x", o.bits.Load(), was)
	}
}

func TestChance(t *testing.T) {
	for _, tt := range []struct {
		failed, n int
		p, want   float64
	}{
		{0, 10, 0.3, 1}, {1, 1, 0.25, 0.25}, {1, 2, 0.5, 0.75}, {5, 5, 0.1, 1e-5},
		{4, 8, 0.05, 3.718e-4}, {63, 63, 1, 1}, {2, 63, 1.2, 1},
	} {
		if got := chance(tt.failed, tt.n, tt.p); math.Abs(got-tt.want) > tt.want/1000 {
			t.Errorf("%d of %d at %v: %v, want %v", tt.failed, tt.n, tt.p, got, tt.want)
		}
	}
}

// few is how many of the last k tries must fail when f of the others' 126 did.
func few(k, f int) int {
	for failed := range k + 1 {
		if chance(failed, k, float64(f+1)/128+0.05) < odds {
			return failed
		}
	}
	return k
}

// The worked example of worse.
func TestWorseExample(t *testing.T) {
	for k, want := range map[int][2]int{5: {4, 5}, 8: {5, 7}, 16: {7, 10}, 32: {9, 15}, 63: {13, 23}} {
		if got := [2]int{few(k, 0), few(k, 13)}; got != want {
			t.Errorf("of the last %d tries %v must fail, want %v", k, got, want)
		}
	}
}
