package inventory

import (
	"context"
	"math/rand/v2"
	"time"
)

// balance takes shards, one at a time, as long as this instance has fewer than
// its share and another has more: an instance that comes back would otherwise
// stay idle. The owner before finds its next write refused and sends the
// requests after the shard.
func (l *Ledger) balance(ctx context.Context) {
	if l.opts.BalanceEvery < 0 {
		return
	}
	for {
		t := time.NewTimer(l.opts.BalanceEvery/2 + rand.N(l.opts.BalanceEvery))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
		if s, epoch := l.surplus(); s != nil {
			if err := l.claim(ctx, s, epoch); err != nil && ctx.Err() == nil {
				l.opts.Logger.Info("a shard was not to be had", "shard", s.name, "err", err)
			}
		}
	}
}

// surplus returns a shard of the instance that owns most, if this one should
// have it.
func (l *Ledger) surplus() (s *shard, epoch uint64) {
	owned := map[string][]int{l.address: nil}
	epochs := [shards]uint64{}
	for n, s := range l.shards {
		var owner string
		owner, epochs[n] = s.ownership()
		if owner != "" {
			owned[owner] = append(owned[owner], n)
		}
	}
	richest := l.address
	for owner, has := range owned {
		if len(has) > len(owned[richest]) {
			richest = owner
		}
	}
	share := shards / len(owned)
	if len(owned[l.address]) >= share || len(owned[richest]) <= share {
		return nil, 0
	}
	n := owned[richest][rand.IntN(len(owned[richest]))]
	return l.shards[n], epochs[n]
}
