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
	pullBatch     = 500 // events a reader asks for at a time
)

// Follow calls handle for every event of the journal from a sequence on (0 and
// 1: all), and then for each new one, in order, once each, until ctx ends; it
// then returns nil. It survives any absence of the broker. A slow handle only
// delays itself.
func (j *Journal) Follow(ctx context.Context, from uint64, handle func(key string, seq uint64, event []byte)) error {
	next := max(from, 1)
	j.persist(ctx, func(ctx context.Context) error {
		c := jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: next}
		return j.read(ctx, c, false, func(msg jetstream.Msg, meta *jetstream.MsgMetadata) bool {
			handle(j.key(msg.Subject()), meta.Sequence.Stream, msg.Data())
			next = meta.Sequence.Stream + 1
			return true
		})
	})
	return nil
}

// Latest calls handle for the last event of every key and kind, in order: Follow
// goes on after the last of them without a gap. Handle sees events again when
// the broker goes away meanwhile. It waits for the broker until ctx ends and
// then fails.
func (j *Journal) Latest(ctx context.Context, handle func(key, kind string, seq uint64, event []byte)) (err error) {
	c := jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, FilterSubject: j.prefix + anyEvent}
	j.persist(ctx, func(round context.Context) error {
		err = j.read(round, c, true, func(msg jetstream.Msg, meta *jetstream.MsgMetadata) bool {
			handle(j.key(msg.Subject()), j.kind(msg.Subject()), meta.Sequence.Stream, msg.Data())
			return true
		})
		return err
	})
	return ended(ctx, err)
}

// Read calls handle for the events of a key that are of one of the kinds (none:
// any) from a sequence on, in order, once each, and returns when there are no
// more. It waits for the broker until ctx ends and then fails.
func (j *Journal) Read(ctx context.Context, key string, kinds []string, from uint64, handle func(seq uint64, event []byte)) error {
	token, err := encodeKey(key)
	if err != nil {
		return err
	}
	c := jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(from, 1)}
	if c.FilterSubjects, err = j.filtersOf(token, kinds); err != nil {
		return err
	}
	if len(kinds) == 0 {
		c.FilterSubject = j.prefix + token + ".*"
	}
	j.persist(ctx, func(round context.Context) error {
		err = j.read(round, c, true, func(msg jetstream.Msg, meta *jetstream.MsgMetadata) bool {
			handle(meta.Sequence.Stream, msg.Data())
			c.OptStartSeq = meta.Sequence.Stream + 1
			return true
		})
		return err
	})
	return ended(ctx, err)
}

// ended is the fault of a bounded reader: it stops without an error of its own
// where ctx ended before its first round.
func ended(ctx context.Context, err error) error {
	if err == nil && ctx.Err() != nil {
		err = away(ctx, nil)
	}
	return asFault(err)
}

// persist repeats a reader's round, which ends with the connection, until it
// succeeds or ctx ends.
func (j *Journal) persist(ctx context.Context, round func(context.Context) error) {
	try := func() error {
		ctx, cancel := j.client.untilReconnect(ctx)
		defer cancel()
		return round(ctx)
	}
	for ctx.Err() == nil {
		err := try()
		if err == nil {
			return
		}
		if ctx.Err() == nil {
			j.client.opts.Logger.Debug("read again", "journal", j.name, "err", err)
			pause(ctx, retryWait)
		}
	}
}

// read hands out what a new, unstored consumer delivers, in order and without a
// gap, until take wants no more or, when it is bounded, nothing more is there.
func (j *Journal) read(ctx context.Context, c jetstream.ConsumerConfig, bounded bool, take func(jetstream.Msg, *jetstream.MsgMetadata) (more bool)) error {
	c.AckPolicy = jetstream.AckNonePolicy
	c.InactiveThreshold = time.Minute
	c.MemoryStorage = true
	c.Replicas = 1
	create, done := context.WithTimeout(ctx, tryTimeout)
	consumer, err := j.stream.CreateConsumer(create, c)
	done()
	if err != nil {
		return err
	}
	info := consumer.CachedInfo()
	defer j.drop(info.Name)
	if bounded && info.NumPending == 0 {
		return nil
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(pullBatch), jetstream.PullExpiry(pullExpiry),
		jetstream.PullHeartbeat(pullHeartbeat), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for want := uint64(1); ; want++ {
		msg, err := messages.Next(jetstream.NextContext(ctx))
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
		if !take(msg, meta) || bounded && meta.NumPending == 0 {
			return nil
		}
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
