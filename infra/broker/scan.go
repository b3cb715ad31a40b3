package broker

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
)

// Scan calls handle for each event of a kind whose sequence is in [from, to), in
// order, and returns when there are no more. It reads no event's content. It
// calls handle only after it has read them all, so callers bound the range.
func (j *Journal) Scan(ctx context.Context, kind string, from, to uint64, handle func(key string, seq uint64)) error {
	type place struct {
		key string
		seq uint64
	}
	subjects, err := j.filters([]string{kind})
	if err != nil {
		return err
	}
	var found []place
	err = j.client.withRetries(ctx, func(ctx context.Context) error {
		found = found[:0]
		return j.read(ctx, jetstream.ConsumerConfig{
			DeliverPolicy:  jetstream.DeliverByStartSequencePolicy,
			OptStartSeq:    max(from, 1),
			FilterSubjects: subjects,
			HeadersOnly:    true,
		}, true, func(msg jetstream.Msg, meta *jetstream.MsgMetadata) bool {
			if meta.Sequence.Stream >= to {
				return false
			}
			found = append(found, place{j.key(msg.Subject()), meta.Sequence.Stream})
			return true
		})
	})
	if err != nil {
		return asFault(err)
	}
	for _, p := range found {
		handle(p.key, p.seq)
	}
	return nil
}
