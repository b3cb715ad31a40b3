package inventory

import (
	"cmp"
	"context"
	"slices"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Bounds of a request.
const (
	maxLines    = 100
	maxQuantity = 1000
	maxKey      = 128
)

// Reserve implements Service. Shards are asked one after the other; when one
// refuses, the lines in those before are released again.
func (l *Ledger) Reserve(ctx context.Context, req ReserveRequest) (Reservation, error) {
	parts, err := l.check(ctx, req.Key, req.Lines)
	if err != nil {
		return Reservation{}, err
	}
	for _, line := range req.Lines {
		if line.Quantity < 1 || line.Quantity > maxQuantity {
			return Reservation{}, fault.New(fault.Invalid, "%s: the quantity is %d; use 1 to %d", line.SKU, line.Quantity, maxQuantity)
		}
	}
	answer := Reservation{Key: req.Key, Status: Reserved, Lines: req.Lines}
	for i, p := range parts {
		status, err := l.do(ctx, request{Shard: p.shard, Kind: Reserved, Key: req.Key, Lines: p.lines})
		if fault.CodeOf(err) == fault.Conflict {
			// The reason is kept, so that a repeated Reserve gets the same answer.
			if e := l.settle(ctx, Released, req.Key, parts[:i], fault.MessageOf(err)); e != nil {
				return Reservation{}, e
			}
		}
		if err != nil {
			return Reservation{}, err
		}
		if status == Committed {
			answer.Status = status
		}
	}
	return answer, nil
}

// Commit implements Service.
func (l *Ledger) Commit(ctx context.Context, req SettleRequest) (Reservation, error) {
	return l.end(ctx, Committed, req)
}

// Release implements Service.
func (l *Ledger) Release(ctx context.Context, req SettleRequest) (Reservation, error) {
	return l.end(ctx, Released, req)
}

func (l *Ledger) end(ctx context.Context, as Status, req SettleRequest) (Reservation, error) {
	parts, err := l.check(ctx, req.Key, req.Lines)
	if err != nil {
		return Reservation{}, err
	}
	if err := l.settle(ctx, as, req.Key, parts, ""); err != nil {
		return Reservation{}, err
	}
	return Reservation{Key: req.Key, Status: as, Lines: req.Lines}, nil
}

// settle ends the hold of a key in every shard.
func (l *Ledger) settle(ctx context.Context, as Status, key string, parts []part, reason string) error {
	for _, p := range parts {
		if _, err := l.do(ctx, request{Shard: p.shard, Kind: as, Key: key, Lines: p.lines, Reason: reason}); err != nil {
			return err
		}
	}
	return nil
}

// Stock implements Service.
func (l *Ledger) Stock(ctx context.Context, req StockRequest) (Stock, error) {
	if _, err := l.Ready(ctx); err != nil {
		return Stock{}, err
	}
	s, err := l.shards[shardOf(req.SKU)].level(req.SKU)
	if err != nil {
		return Stock{}, err
	}
	return Stock{SKU: req.SKU, Available: s.Available, Reserved: s.Reserved, Shipped: s.Shipped}, nil
}

// part is what a request wants of one shard.
type part struct {
	shard int
	lines []Line // in SKU order
}

// check refuses what no ledger can take and returns the lines by shard.
func (l *Ledger) check(ctx context.Context, key string, lines []Line) ([]part, error) {
	if key == "" || len(key) > maxKey {
		return nil, fault.New(fault.Invalid, "the key of a hold has 1 to %d characters", maxKey)
	}
	if len(lines) < 1 || len(lines) > maxLines {
		return nil, fault.New(fault.Invalid, "a hold has 1 to %d lines, this one %d", maxLines, len(lines))
	}
	if _, err := l.Ready(ctx); err != nil {
		return nil, err
	}
	sorted := slices.SortedFunc(slices.Values(lines), func(a, b Line) int { return cmp.Compare(a.SKU, b.SKU) })
	for i, line := range sorted {
		if i > 0 && line.SKU == sorted[i-1].SKU {
			return nil, fault.New(fault.Invalid, "%s comes twice; add the quantities up", line.SKU)
		}
		if _, err := l.shards[shardOf(line.SKU)].level(line.SKU); err != nil {
			return nil, err
		}
	}
	var parts []part
	for n := range shards {
		mine := slices.DeleteFunc(slices.Clone(sorted), func(line Line) bool { return shardOf(line.SKU) != n })
		if len(mine) > 0 {
			parts = append(parts, part{n, mine})
		}
	}
	return parts, nil
}
