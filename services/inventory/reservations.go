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

// Reserve implements Service. Lines are held in SKU order; when one cannot be,
// those before it are released again.
func (l *Ledger) Reserve(ctx context.Context, req ReserveRequest) (Reservation, error) {
	lines, err := l.check(ctx, req.Key, req.Lines)
	if err != nil {
		return Reservation{}, err
	}
	for _, line := range lines {
		if line.Quantity < 1 || line.Quantity > maxQuantity {
			return Reservation{}, fault.New(fault.Invalid, "%s: the quantity is %d; use 1 to %d", line.SKU, line.Quantity, maxQuantity)
		}
	}
	answer := Reservation{Key: req.Key, Status: Reserved, Lines: req.Lines}
	for i, line := range lines {
		err := l.write(ctx, line.SKU, req.Key, func(v view) (*event, error) {
			switch {
			case v.held == line.Quantity:
				return nil, nil
			case v.held > 0:
				return nil, fault.New(fault.KeyReused, "%s holds %d of %s already", req.Key, v.held, line.SKU)
			case v.outcome.status == Committed:
				answer.Status = Committed
				return nil, nil
			case v.outcome.status == Released:
				return nil, fault.New(fault.Conflict, "%s", cmp.Or(v.outcome.reason, "the reservation was released"))
			}
			e, err := v.shelf.reserve(req.Key, line.Quantity)
			return &e, err
		})
		if fault.CodeOf(err) == fault.Conflict {
			// The reason is kept, so that a repeated Reserve gets the same answer.
			if e := l.releaseAll(ctx, req.Key, lines[:i], fault.MessageOf(err)); e != nil {
				return Reservation{}, e
			}
		}
		if err != nil {
			return Reservation{}, err
		}
	}
	return answer, nil
}

// Commit implements Service.
func (l *Ledger) Commit(ctx context.Context, req SettleRequest) (Reservation, error) {
	lines, err := l.check(ctx, req.Key, req.Lines)
	if err != nil {
		return Reservation{}, err
	}
	for _, line := range lines {
		err := l.write(ctx, line.SKU, req.Key, func(v view) (*event, error) {
			switch {
			case v.held > 0:
				e := v.shelf.commit(req.Key)
				return &e, nil
			case v.outcome.status == Committed:
				return nil, nil
			case v.outcome.status == Released:
				return nil, fault.New(fault.Conflict, "the hold of %s on %s was released", req.Key, line.SKU)
			}
			return nil, fault.New(fault.NotFound, "%s holds nothing of %s", req.Key, line.SKU)
		})
		if err != nil {
			return Reservation{}, err
		}
	}
	return Reservation{Key: req.Key, Status: Committed, Lines: req.Lines}, nil
}

// Release implements Service.
func (l *Ledger) Release(ctx context.Context, req SettleRequest) (Reservation, error) {
	lines, err := l.check(ctx, req.Key, req.Lines)
	if err != nil {
		return Reservation{}, err
	}
	if err := l.releaseAll(ctx, req.Key, lines, ""); err != nil {
		return Reservation{}, err
	}
	return Reservation{Key: req.Key, Status: Released, Lines: req.Lines}, nil
}

// releaseAll puts back what key holds of every line. Where it holds nothing it
// leaves a tombstone for the Reserve that may still be on its way.
func (l *Ledger) releaseAll(ctx context.Context, key string, lines []Line, reason string) error {
	for _, line := range lines {
		err := l.write(ctx, line.SKU, key, func(v view) (*event, error) {
			switch {
			case v.outcome.status == Released:
				return nil, nil
			case v.outcome.status == Committed:
				return nil, fault.New(fault.Conflict, "the hold of %s on %s was committed", key, line.SKU)
			}
			e := v.shelf.release(key, reason)
			return &e, nil
		})
		if err != nil {
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
	a, err := l.account(req.SKU)
	if err != nil {
		return Stock{}, err
	}
	s := a.view("").shelf
	return Stock{SKU: req.SKU, Available: s.Available, Reserved: s.Reserved, Shipped: s.Shipped}, nil
}

// check refuses what no ledger can take and returns the lines in SKU order.
func (l *Ledger) check(ctx context.Context, key string, lines []Line) ([]Line, error) {
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
		if _, err := l.account(line.SKU); err != nil {
			return nil, err
		}
	}
	return sorted, nil
}
