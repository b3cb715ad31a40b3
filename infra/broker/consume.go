package broker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Settings of durable consumers. An event is given to somebody else when its
// handler has not answered for ackWait, so that is longer than a handler may
// take. Delays between deliveries grow in redelivery, not in the consumer's
// BackOff: the server adds that list to the delay of every second and later
// refusal (seconds where we asked for milliseconds).
const (
	handlerDeadline = 4 * time.Second
	ackWait         = 6 * time.Second
	consumeWorkers  = 16    // handlers at a time, per instance
	maxAckPending   = 10000 // unsettled events, over all instances
	minRedelivery   = 100 * time.Millisecond
	maxRedelivery   = 5 * time.Second
)

// Handler settles one event. It may see an event more than once.
type Handler = func(ctx context.Context, key string, seq uint64, event []byte) error

// untouched is the error of a handler that did nothing with an event: it is
// done with (0) or wants it again after a while. Neither is worth a span.
type untouched interface{ Untouched() (again time.Duration) }

// Consume gives each event of the journal that is of one of the kinds (none:
// any), old ones first, to one of the instances that consume under the same name,
// at least once, until ctx ends; it then returns nil after the running handlers
// have. An event is settled when handle returned nil, and comes again otherwise:
// after the fault's RetryAfter where it has one, else with a growing delay. A
// handler's context ends after four seconds. An error with a method
// Untouched() time.Duration says that the event was ignored (0) or postponed.
// Instances that consume under the same name must ask for the same kinds.
func (j *Journal) Consume(ctx context.Context, name string, kinds []string, handle Handler) error {
	subjects, err := j.filters(kinds)
	if err != nil {
		return err
	}
	slots := make(chan struct{}, consumeWorkers)
	var running sync.WaitGroup
	defer running.Wait()
	for ctx.Err() == nil {
		err := j.consume(ctx, name, subjects, slots, func(msg jetstream.Msg) {
			running.Go(func() {
				defer func() { <-slots }()
				j.settle(ctx, name, msg, handle)
			})
		})
		if err != nil && ctx.Err() == nil {
			j.client.opts.Logger.Debug("consume again", "journal", j.name, "consumer", name, "err", err)
			pause(ctx, retryWait)
		}
	}
	return nil
}

// consume hands out events until the connection is another one. A slot is taken
// before an event is, so that none ages in a queue of ours.
func (j *Journal) consume(ctx context.Context, name string, subjects []string, slots chan struct{}, start func(jetstream.Msg)) error {
	round, cancel := j.client.untilReconnect(ctx)
	defer cancel()
	create, done := context.WithTimeout(round, tryTimeout)
	consumer, err := j.stream.CreateOrUpdateConsumer(create, jetstream.ConsumerConfig{
		Durable:        name,
		DeliverPolicy:  jetstream.DeliverAllPolicy,
		FilterSubjects: subjects,
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        ackWait,
		MaxDeliver:     -1,
		MaxAckPending:  maxAckPending,
	})
	done()
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(consumeWorkers), jetstream.PullExpiry(pullExpiry),
		jetstream.PullHeartbeat(pullHeartbeat), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		select {
		case slots <- struct{}{}:
		case <-round.Done():
			return round.Err()
		}
		msg, err := messages.Next(jetstream.NextContext(round))
		if err != nil {
			<-slots
			return err
		}
		start(msg)
	}
}

// settle runs the handler on one event and tells the broker the outcome.
func (j *Journal) settle(ctx context.Context, name string, msg jetstream.Msg, handle Handler) {
	log := j.client.opts.Logger.With("journal", j.name, "consumer", name)
	meta, err := msg.Metadata()
	if err != nil {
		log.Error("an event without metadata", "err", err)
		return
	}
	key := j.key(msg.Subject())
	hctx, cancel := context.WithTimeout(ctx, handlerDeadline)
	hctx, span := j.client.startConsumer(hctx, "consume "+name, msg.Headers().Get(headerB3))
	span.tag("messaging.key", key)
	stop := keepAlive(hctx, msg)
	err = guarded(handle)(hctx, key, meta.Sequence.Stream, msg.Data())
	stop()
	cancel()

	var skip untouched
	if errors.As(err, &skip) {
		if again := skip.Untouched(); again > 0 {
			err = msg.NakWithDelay(again)
		} else {
			err = msg.Ack()
		}
	} else if span.finish(err); err != nil {
		log.Warn("an event failed and will come again", "key", key, "seq", meta.Sequence.Stream,
			"delivery", meta.NumDelivered, "err", err)
		err = msg.NakWithDelay(redelivery(err, meta.NumDelivered))
	} else {
		err = confirm(ctx, msg)
	}
	if err != nil {
		log.Debug("the broker did not take the outcome; the event will come again", "key", key, "err", err)
	}
}

// confirm acknowledges and waits for the broker to have taken it, also when the
// instance is just ending: an event acknowledged in vain would come again.
func confirm(ctx context.Context, msg jetstream.Msg) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryTimeout)
	defer cancel()
	return msg.DoubleAck(ctx)
}

// keepAlive tells the broker regularly that msg is being worked on, until stop
// is called or ctx ends: a handler that ignores its deadline loses the event to
// another instance.
func keepAlive(ctx context.Context, msg jetstream.Msg) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(ackWait / 3)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				_ = msg.InProgress() // best effort: without it the event comes again, which is allowed
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}

// guarded turns a panic of handle into an error: one bad event must not end the
// process, over and over, in every instance.
func guarded(handle Handler) Handler {
	return func(ctx context.Context, key string, seq uint64, event []byte) (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fault.Wrap(fault.Internal, fmt.Errorf("panic: %v\n%s", p, debug.Stack()), "the handler broke")
			}
		}()
		return handle(ctx, key, seq, event)
	}
}

// redelivery doubles from minRedelivery to maxRedelivery, jittered so that
// events that failed together do not come back together.
func redelivery(err error, deliveries uint64) time.Duration {
	if d := fault.RetryAfterOf(err); d > 0 {
		return d
	}
	d := min(minRedelivery<<min(deliveries, 10), maxRedelivery)
	return d/2 + rand.N(d/2)
}
