package broker

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Stored is one event as the broker keeps it.
type Stored struct {
	Key  string
	Seq  uint64    // in the whole journal, over all keys
	At   time.Time // when it was stored, by the broker's clock
	Data []byte
}

// Replay calls handle for every event of the journal from a sequence on, in
// order, once each, and returns when there are no more. It waits for the broker
// until ctx ends and then fails.
func (j *Journal) Replay(ctx context.Context, from uint64, handle func(Stored)) (err error) {
	next := max(from, 1)
	j.persist(ctx, func(round context.Context) error {
		c := jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: next}
		err = j.read(round, c, true, func(msg jetstream.Msg, meta *jetstream.MsgMetadata) bool {
			handle(Stored{Key: j.key(msg.Subject()), Seq: meta.Sequence.Stream, At: meta.Timestamp, Data: msg.Data()})
			next = meta.Sequence.Stream + 1
			return true
		})
		return err
	})
	return ended(ctx, err)
}
