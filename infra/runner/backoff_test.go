package runner

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	var b backoff
	for i, want := range []time.Duration{250, 500, 1000, 2000, 4000, 5000, 5000} {
		want *= time.Millisecond
		got := b.next(time.Second)
		if got < want*8/10 || got > min(want*12/10, maxDelay) {
			t.Errorf("pause %d is %s, want about %s", i+1, got, want)
		}
	}
	if got := b.next(stableAfter); got > 300*time.Millisecond {
		t.Errorf("after a stable life the pause is %s", got)
	}
	for range 100 { // far beyond what a shift could hold
		b.next(0)
	}
	if got := b.next(0); got < maxDelay*8/10 || got > maxDelay {
		t.Errorf("after many deaths the pause is %s", got)
	}
}
