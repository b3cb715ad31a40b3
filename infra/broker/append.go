package broker

import (
	"context"
	"errors"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/kitmesh/kitmesh/services/fault"
)

// headerRequest names the Append that wrote an event, so that a writer whose
// answer was lost can recognise its own event.
const headerRequest = "Kitmesh-Request"

// Append writes event as the next one of key, provided that the last event of
// key, of whatever kind, has the sequence after (0: key has none yet), and
// returns its sequence. The kind is what consumers choose events by; it may be
// empty. Each pair of key and kind costs the broker memory, so kinds are few.
// It fails with fault.Conflict when somebody else wrote first. Lost answers are
// settled by repeating the write under the same message id until ctx ends;
// fault.Unavailable then means that the outcome is unknown.
func (j *Journal) Append(ctx context.Context, key, kind string, event []byte, after uint64) (seq uint64, err error) {
	token, err := encodeKey(key)
	if err != nil {
		return 0, err
	}
	last, err := encodeKind(kind)
	if err != nil {
		return 0, err
	}
	w := write{
		journal: j, subject: j.prefix + token + "." + last, all: j.prefix + token + ".*",
		event: event, after: after, id: nuid.Next(),
	}
	span := j.client.startProducer(ctx, "append "+strings.ToLower(j.name))
	span.tag("messaging.key", key)
	w.b3 = span.b3
	err = j.client.withRetries(ctx, func(ctx context.Context) error {
		seq, err = w.try(ctx)
		return err
	})
	err = asFault(err)
	span.finish(err)
	if err != nil {
		return 0, err
	}
	return seq, nil
}

// write is one Append with everything that stays the same over its tries.
type write struct {
	journal *Journal
	subject string // of the key and the kind
	all     string // matches every kind of the key
	event   []byte
	after   uint64
	id      string
	b3      string
	unsure  bool // an earlier try may have written
}

// try publishes once. After a try without an answer a conflict may be with our
// own event, so that one is read and compared: the broker checks the expected
// sequence before it looks for a repeated message id.
func (w *write) try(ctx context.Context) (uint64, error) {
	msg := &nats.Msg{Subject: w.subject, Data: w.event, Header: nats.Header{headerRequest: {w.id}}}
	if w.b3 != "" {
		msg.Header[headerB3] = []string{w.b3}
	}
	ack, err := w.journal.client.js.PublishMsg(ctx, msg,
		jetstream.WithMsgID(w.id),
		jetstream.WithExpectLastSequenceForSubject(w.after, w.all),
		jetstream.WithRetryAttempts(0))
	switch {
	case err == nil:
		return ack.Sequence, nil
	case conflicts(err) && w.unsure:
		return w.settle(ctx, err)
	case conflicts(err):
		return 0, err
	}
	// Never sent is the only failure known to have had no effect.
	w.unsure = w.unsure || !errors.Is(err, nats.ErrReconnectBufExceeded)
	return 0, err
}

// settle reads the event that followed w.after: whoever wrote it won, and it
// may have been an earlier try of ours.
func (w *write) settle(ctx context.Context, conflict error) (uint64, error) {
	msg, err := w.journal.stream.GetMsg(ctx, w.after+1, jetstream.WithGetMsgSubject(w.all))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, conflict
	case err != nil:
		return 0, err
	case msg.Header.Get(headerRequest) == w.id:
		return msg.Sequence, nil
	}
	return 0, fault.Wrap(fault.Conflict, conflict, "somebody else wrote first")
}
