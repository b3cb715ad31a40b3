package broker

import (
	"context"
	"strings"
	"testing"
	"testing/quick"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/kitmesh/kitmesh/services/fault"
)

func TestKeyRoundTrip(t *testing.T) {
	roundTrip := func(key string) bool {
		token, err := encodeKey(key)
		if key == "" || len(key) > maxKey {
			return fault.CodeOf(err) == fault.Invalid
		}
		return err == nil && decodeKey(token) == key && !strings.ContainsAny(token, ".*> \t\r\n")
	}
	if err := quick.Check(roundTrip, nil); err != nil {
		t.Error(err)
	}
}

func FuzzDecodeKey(f *testing.F) {
	for _, s := range []string{"", "=", "=4", "=41", "=GG", "a=2Eb", "==="} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, token string) { decodeKey(token) })
}

// TestLostAnswerIsSettled covers the write whose answer was lost and whose
// message id the broker no longer knows: the event itself tells who wrote it.
func TestLostAnswerIsSettled(t *testing.T) {
	s, err := Start(t.Context(), ServerOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	c, err := Connect(t.Context(), s.URL(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	j, err := c.Journal(context.Background(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	ours := &write{journal: j, subject: "orders.a.begun", all: "orders.a.*", id: "ours"}
	seq, err := ours.try(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(t.Context(), "a", "ended", nil, seq); err != nil { // superseded meanwhile
		t.Fatal(err)
	}
	conflict := &jetstream.APIError{ErrorCode: codeWrongSequenceR3}
	if got, err := ours.settle(t.Context(), conflict); err != nil || got != seq {
		t.Errorf("settle of our own event = %d, %v; want %d", got, err, seq)
	}
	theirs := &write{journal: j, subject: "orders.a.begun", all: "orders.a.*", id: "theirs", unsure: true}
	if _, err := theirs.try(t.Context()); fault.CodeOf(asFault(err)) != fault.Conflict {
		t.Errorf("a lost race after an unsure try: %v, want conflict", err)
	}
	ours.unsure = true
	if again, err := ours.try(t.Context()); err != nil || again != seq {
		t.Errorf("the repeated write, its answer lost, = %d, %v; want its first answer %d", again, err, seq)
	}
}
