package broker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Requests between clients travel as core messages: the broker keeps none.
const (
	exchangePrefix = "exchange."
	maxAnswering   = 1024 // requests that one listener answers at a time

	headerBusy = "Kitmesh-Busy" // the listener had no place for the request
)

// Listen has handle answer the requests to an address until stop is called,
// which waits for the answers under way. An address has one listener.
func (c *Client) Listen(address string, handle func(ctx context.Context, request []byte) (answer []byte)) (stop func(), err error) {
	token, err := encodeKey(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	slots := make(chan struct{}, maxAnswering)
	var mu sync.Mutex
	var ended bool
	var running sync.WaitGroup
	sub, err := c.nc.Subscribe(exchangePrefix+token, func(msg *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		if ended {
			return
		}
		select {
		case slots <- struct{}{}:
		default:
			c.respond(ctx, msg, &nats.Msg{Header: nats.Header{headerBusy: {"1"}}})
			return
		}
		running.Go(func() {
			defer func() { <-slots }()
			c.respond(ctx, msg, &nats.Msg{Data: c.handled(ctx, msg, handle)})
		})
	})
	if err != nil {
		cancel()
		return nil, asFault(err)
	}
	return func() {
		if err := sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			c.opts.Logger.Debug("listener left at the broker", "address", address, "err", err)
		}
		mu.Lock()
		ended = true
		mu.Unlock()
		cancel()
		running.Wait()
	}, nil
}

// handled runs handle in the trace of the request.
func (c *Client) handled(ctx context.Context, msg *nats.Msg, handle func(context.Context, []byte) []byte) []byte {
	ctx, span := c.startConsumer(ctx, "answer", msg.Header.Get(headerB3))
	answer := handle(ctx, msg.Data)
	span.finish(nil)
	return answer
}

// respond sends an answer; while the broker is away it waits a moment for it.
func (c *Client) respond(ctx context.Context, request, answer *nats.Msg) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	for {
		err := request.RespondMsg(answer)
		if err == nil {
			return
		}
		if pause(ctx, retryWait); ctx.Err() != nil {
			c.opts.Logger.Debug("an answer was not sent", "err", err)
			return
		}
	}
}

// Ask sends a request to the listener at an address and returns its answer. It
// fails with fault.NotFound when nobody listens there, with fault.Overloaded
// when the listener has too much to do, with fault.Deadline when ctx ended
// before the answer came, and with fault.Unavailable when the broker is away.
// Unless it is fault.NotFound or fault.Overloaded, the request may have been
// answered.
func (c *Client) Ask(ctx context.Context, address string, request []byte) (answer []byte, err error) {
	token, err := encodeKey(address)
	if err != nil {
		return nil, err
	}
	msg := &nats.Msg{Subject: exchangePrefix + token, Data: request}
	var span messageSpan
	if len(request) > 0 {
		span = c.startProducer(ctx, "ask")
	}
	if span.b3 != "" {
		msg.Header = nats.Header{headerB3: {span.b3}}
	}
	answer, err = c.ask(ctx, msg)
	span.finish(err)
	return answer, err
}

func (c *Client) ask(ctx context.Context, msg *nats.Msg) ([]byte, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTimeout)
		defer cancel()
	}
	// An answer that was on its way when the connection broke does not come.
	round, cancel := c.untilReconnect(ctx)
	defer cancel()
	got, err := c.nc.RequestMsgWithContext(round, msg)
	switch {
	case err == nil && got.Header.Get(headerBusy) != "":
		return nil, &fault.Error{Code: fault.Overloaded, Message: "the instance asked has too much to do", RetryAfter: time.Second}
	case err == nil:
		return got.Data, nil
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fault.Wrap(fault.NotFound, err, "nobody listens at this address")
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fault.Wrap(fault.Deadline, ctx.Err(), "no answer came in time")
	case ctx.Err() != nil:
		return nil, away(ctx, err)
	}
	return nil, unavailable(err, "the connection to the broker broke")
}
