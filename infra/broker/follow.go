package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Pull settings of both kinds of readers: how long a request waits at the
// broker, and how soon a reader notices that nobody serves it.
const (
	pullExpiry    = 10 * time.Second
	pullHeartbeat = time.Second
)

// Follow calls handle for every event of the journal from the first on, and
// then for each new one, in order, once each, until ctx ends; it then returns
// nil. It survives any absence of the broker. A slow handle only delays itself.
func (j *Journal) Follow(ctx context.Context, handle func(key string, seq uint64, event []byte)) error {
	var seen uint64
	for ctx.Err() == nil {
		err := j.follow(ctx, &seen, handle)
		if err != nil && ctx.Err() == nil {
			j.client.opts.Logger.Debug("follow again", "journal", j.name, "after", seen, "err", err)
			pause(ctx, retryWait)
		}
	}
	return nil
}

// follow reads in order from the event after *seen until something breaks the
// order: a reconnect, a gap, a broker that lost the (unstored) consumer.
func (j *Journal) follow(ctx context.Context, seen *uint64, handle func(string, uint64, []byte)) error {
	round, cancel := j.client.untilReconnect(ctx)
	defer cancel()
	create, done := context.WithTimeout(round, tryTimeout)
	consumer, err := j.stream.CreateConsumer(create, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       *seen + 1,
		AckPolicy:         jetstream.AckNonePolicy,
		InactiveThreshold: time.Minute,
		MemoryStorage:     true,
		Replicas:          1,
	})
	done()
	if err != nil {
		return err
	}
	defer j.drop(consumer.CachedInfo().Name)
	messages, err := consumer.Messages(jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat),
		jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for want := uint64(1); ; want++ {
		msg, err := messages.Next(jetstream.NextContext(round))
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		if meta.Sequence.Consumer != want {
			return fmt.Errorf("delivery %d came as %d", want, meta.Sequence.Consumer)
		}
		handle(j.key(msg.Subject()), meta.Sequence.Stream, msg.Data())
		*seen = meta.Sequence.Stream
	}
}

// drop removes a reader at the broker, best effort: an abandoned one removes
// itself after its InactiveThreshold.
func (j *Journal) drop(consumer string) {
	if !j.client.nc.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), tryTimeout)
	defer cancel()
	if err := j.stream.DeleteConsumer(ctx, consumer); err != nil {
		j.client.opts.Logger.Debug("reader left at the broker", "journal", j.name, "err", err)
	}
}
