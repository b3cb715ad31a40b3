package orders

import (
	"context"
	"errors"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
)

const (
	// maxMargin is the most of the deadline that is kept for the way back.
	maxMargin = 200 * time.Millisecond
	// courtesy is how long a repeated request leaves an order alone that is
	// making progress: it is probably the first request, still running.
	courtesy = 150 * time.Millisecond
	// stepTries is how often a request tries one step, for 0.3 to 0.9 s: what is
	// away for longer is not worth waiting for.
	stepTries = 6
	// quoteTries bounds the tries to price an order; nothing is lost when they
	// fail, so the customer hears it soon.
	quoteTries = 3
)

// Place implements Service.
func (s *Saga) Place(ctx context.Context, req PlaceRequest) (Order, error) {
	if err := req.validate(); err != nil {
		return Order{}, err
	}
	ctx, cancel := s.patience(ctx)
	defer cancel()
	r, err := s.find(ctx, req)
	if err != nil {
		return Order{}, err
	}
	// Not final is an answer, too: the order stands and any instance goes on.
	if r, err = s.drive(ctx, r, stepTries); err != nil {
		s.opts.Logger.Info("an order goes on after its request", "order", r.ID, "status", r.Status, "err", err)
	}
	return r.answer()
}

// patience returns a context that ends when the order is returned as it stands:
// after AnswerWithin, or early enough for a deadline that comes before.
func (s *Saga) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	left := s.opts.AnswerWithin
	if deadline, ok := ctx.Deadline(); ok {
		whole := time.Until(deadline)
		left = min(left, whole-min(maxMargin, whole/10))
	}
	return context.WithTimeout(ctx, left)
}

// find returns the order of the request's key, creating it when there is none.
func (s *Saga) find(ctx context.Context, req PlaceRequest) (record, error) {
	id := orderID(req.Key)
	r, err := s.load(ctx, id)
	if fault.CodeOf(err) == fault.NotFound {
		r, err = s.create(ctx, id, req)
		if err == nil {
			return r, nil
		}
		if errors.Is(err, errRace) {
			r, err = s.load(ctx, id)
		}
	}
	if err != nil {
		return record{}, err
	}
	if r.BodyHash != bodyHash(req.Lines) {
		return record{}, fault.New(fault.KeyReused, "this Idempotency-Key belongs to order %s with other lines; use a new key", id)
	}
	if age := time.Since(r.PlacedAt); age > s.opts.KeyLifetime {
		return record{}, fault.New(fault.KeyReused, "this Idempotency-Key belongs to order %s, placed at %s, and is worn out; use a new key",
			id, r.PlacedAt.Format(time.RFC3339))
	}
	return s.watch(ctx, r), nil
}

// watch waits for an order that another request is driving, as long as there is
// news of it.
func (s *Saga) watch(ctx context.Context, r record) record {
	for !r.Status.Final() && time.Since(r.UpdatedAt) < courtesy && ctx.Err() == nil {
		pause(ctx, minPause)
		if newer, err := s.load(ctx, r.ID); err == nil {
			r = newer
		}
	}
	return r
}

// create prices the order and writes its first event. Whatever pricing or
// shipping refuse leaves nothing behind.
func (s *Saga) create(ctx context.Context, id string, req PlaceRequest) (record, error) {
	goods, err := quoted(ctx, func() (Money, error) { return s.ports.Pricing.Value(ctx, req.Lines) })
	if err != nil {
		return record{}, err
	}
	delivery, err := quoted(ctx, func() (Money, error) { return s.ports.Shipping.Quote(ctx, req.Lines) })
	if err != nil {
		return record{}, err
	}
	if goods.Currency != delivery.Currency || goods.Amount <= 0 || delivery.Amount < 0 {
		return record{}, fault.New(fault.Internal, "goods at %d %s and delivery at %d %s do not add up",
			goods.Amount, goods.Currency, delivery.Amount, delivery.Currency)
	}
	return s.save(ctx, record{
		Order: Order{
			ID:       id,
			Status:   Placed,
			Lines:    req.Lines,
			Goods:    goods,
			Shipping: delivery,
			Total:    Money{Amount: goods.Amount + delivery.Amount, Currency: goods.Currency},
			TraceID:  req.TraceID,
			PlacedAt: time.Now().UTC(),
		},
		Key:      req.Key,
		BodyHash: bodyHash(req.Lines),
	})
}

// quoted tries f again when somebody else might answer.
func quoted(ctx context.Context, f func() (Money, error)) (Money, error) {
	for try := 1; ; try++ {
		m, err := f()
		if err == nil || !fault.Retryable(err) || try == quoteTries || ctx.Err() != nil {
			return m, err
		}
		pause(ctx, backoff(try))
	}
}

// answer is what the customer gets: a cancelled order fails the request with
// its reason, now and whenever it is repeated.
func (r record) answer() (Order, error) {
	if r.Status == Cancelled {
		return Order{}, fault.New(fault.Code(r.ReasonCode), "%s", r.Reason)
	}
	return r.Order, nil
}

// Get implements Service.
func (s *Saga) Get(ctx context.Context, req GetRequest) (Order, error) {
	if req.ID == "" || len(req.ID) > MaxKeyLength {
		return Order{}, fault.New(fault.NotFound, "there is no order %.64q", req.ID)
	}
	r, err := s.load(ctx, req.ID)
	return r.Order, err
}
