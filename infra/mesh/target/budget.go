package target

import (
	"sync/atomic"
	"time"
)

// budgetWindow is over how many seconds retries are weighed against calls.
const budgetWindow = 10

// milli is the resolution of the budget: thousandths of a retry.
const milli = 1000

// budget lets retries be a share of the calls of the last 10 s plus a floor, so
// that retries cannot multiply an overload.
//
// Worked example, ratio 0.2 and floor 10/s: an idle caller may retry 100 times
// in a burst. After 1,000 calls in 5 s it may retry 100 + 200 times; each retry
// is back in the budget 10 s later.
//
// Deposits and withdrawals are kept per second, in atomics: calls share no lock.
// When a second's slot is reused, deposits that race with its clearing may be
// lost; that only makes the budget tighter by a few calls.
type budget struct {
	deposit int64 // millis per call
	reserve int64 // millis that are always there
	start   time.Time
	slots   [budgetWindow + 1]budgetSlot
}

type budgetSlot struct {
	second  atomic.Int64
	balance atomic.Int64 // deposits less withdrawals of that second
}

func newBudget(ratio, floor float64) *budget {
	return &budget{
		deposit: int64(ratio * milli),
		reserve: int64(floor * budgetWindow * milli),
		start:   time.Now(),
	}
}

// call notes a call that may be retried later.
func (b *budget) call() {
	if b.deposit > 0 {
		b.slot(b.second()).balance.Add(b.deposit)
	}
}

// retry takes one retry out of the budget, or reports that none is left.
func (b *budget) retry() bool {
	now := b.second()
	slot := b.slot(now)
	slot.balance.Add(-milli)
	if b.sum(now) < 0 {
		slot.balance.Add(milli)
		return false
	}
	return true
}

// left is how many retries are left now.
func (b *budget) left() float64 { return float64(max(b.sum(b.second()), 0)) / milli }

func (b *budget) sum(now int64) int64 {
	sum := b.reserve
	for i := range b.slots {
		if s := &b.slots[i]; s.second.Load() > now-budgetWindow {
			sum += s.balance.Load()
		}
	}
	return sum
}

func (b *budget) slot(now int64) *budgetSlot {
	s := &b.slots[now%int64(len(b.slots))]
	if was := s.second.Load(); was != now && s.second.CompareAndSwap(was, now) {
		s.balance.Store(0)
	}
	return s
}

// second counts from 1, so that an unused slot is of no second.
func (b *budget) second() int64 { return int64(time.Since(b.start)/time.Second) + 1 }
