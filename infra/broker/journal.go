package broker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kitmesh/kitmesh/services/fault"
)

// anyEvent matches key and kind of every event.
const anyEvent = "*.*"

// dedupeWindow is how long the broker recognises a repeated message id.
const dedupeWindow = 10 * time.Minute

// Journal is a stream of events. Each event has a key, and the last event of a
// key is that key's state: writing names the event it follows, so of two
// writers one loses and learns it. Each event has a kind, too, by which
// consumers choose.
type Journal struct {
	client *Client
	stream jetstream.Stream
	name   string // ORDERS
	prefix string // orders.
}

// Journal opens the named journal, creating its stream when missing: name
// "orders" is the stream ORDERS with the subjects orders.<key>.<kind>. It waits
// for the broker until ctx ends and then fails with fault.Unavailable. It fails
// with fault.Internal when the stream has other subjects.
func (c *Client) Journal(ctx context.Context, name string) (*Journal, error) {
	token, err := encodeKey(name)
	if err != nil || token != name {
		return nil, fault.New(fault.Invalid, "%q cannot name a journal; use letters, digits, - and _", name)
	}
	j := &Journal{client: c, name: strings.ToUpper(name), prefix: strings.ToLower(name) + "."}
	err = c.withRetries(ctx, func(ctx context.Context) error {
		var err error
		j.stream, err = c.js.CreateStream(ctx, j.config(c.opts.Replicas))
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			j.stream, err = c.js.Stream(ctx, j.name) // made with other replicas, for example
		}
		if err != nil {
			return err
		}
		return j.fits(j.stream.CachedInfo().Config)
	})
	if err != nil {
		return nil, asFault(err)
	}
	return j, nil
}

// fits refuses a stream whose events a Journal would not find: keys that look
// unused would be written a second time.
func (j *Journal) fits(have jetstream.StreamConfig) error {
	if slices.Equal(have.Subjects, []string{j.prefix + anyEvent}) {
		return nil
	}
	return fault.New(fault.Internal, "the broker's stream %s holds events of another version of kitmesh (subjects %s, not %s); start the broker with an empty store",
		j.name, strings.Join(have.Subjects, ", "), j.prefix+anyEvent)
}

func (j *Journal) config(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        j.name,
		Description: "kitmesh: events that are the state of " + strings.TrimSuffix(j.prefix, "."),
		Subjects:    []string{j.prefix + anyEvent},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Replicas:    replicas,
		Duplicates:  dedupeWindow,
		AllowDirect: false, // a follower would answer direct reads with what it has, possibly old
		DenyDelete:  true,
		DenyPurge:   true,
	}
}

// Last returns the last event of key and its sequence, read from the stream's
// leader. It fails with fault.NotFound when key has none.
func (j *Journal) Last(ctx context.Context, key string) (event []byte, seq uint64, err error) {
	token, err := encodeKey(key)
	if err != nil {
		return nil, 0, err
	}
	var msg *jetstream.RawStreamMsg
	err = j.client.withRetries(ctx, func(ctx context.Context) error {
		var err error
		msg, err = j.stream.GetLastMsgForSubject(ctx, j.prefix+token+".*")
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return fault.Wrap(fault.NotFound, err, "nothing is recorded under %q", key)
		}
		return err
	})
	if err != nil {
		return nil, 0, asFault(err)
	}
	return msg.Data, msg.Sequence, nil
}

// Tail returns the sequence of the journal's last event, 0 when it is empty: a
// follower that has seen it has caught up.
func (j *Journal) Tail(ctx context.Context) (seq uint64, err error) {
	err = j.client.withRetries(ctx, func(ctx context.Context) error {
		info, err := j.stream.Info(ctx)
		if err != nil {
			return err
		}
		seq = info.State.LastSeq
		return nil
	})
	return seq, asFault(err)
}

// key is the key behind a subject of j.
func (j *Journal) key(subject string) string {
	token, _, _ := strings.Cut(strings.TrimPrefix(subject, j.prefix), ".")
	return decodeKey(token)
}

// kind is the kind behind a subject of j.
func (j *Journal) kind(subject string) string {
	_, token, _ := strings.Cut(strings.TrimPrefix(subject, j.prefix), ".")
	if token == noKind {
		return ""
	}
	return token
}
