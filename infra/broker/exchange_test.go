package broker_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/broker"
	"github.com/kitmesh/kitmesh/services/fault"
)

func echo(_ context.Context, request []byte) []byte { return append([]byte("re: "), request...) }

// ask gives a request a second.
func ask(t *testing.T, c *broker.Client, address, request string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	answer, err := c.Ask(ctx, address, []byte(request))
	return string(answer), err
}

func TestAsk(t *testing.T) {
	_, c := journal(t, "stock")
	if _, err := ask(t, c, "a.b/*", "?"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("nobody listens: %v, want not_found", err)
	}
	stop, err := c.Listen("a.b/*", echo)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := ask(t, c, "a.b/*", "?"); err != nil || answer != "re: ?" {
		t.Errorf("answer %q, %v", answer, err)
	}
	if _, err := ask(t, c, "a.b/c", "?"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("another address: %v, want not_found", err)
	}
	stop()
	if _, err := ask(t, c, "a.b/*", "?"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("nobody listens any more: %v, want not_found", err)
	}
	for _, address := range []string{"", string(make([]byte, 1000))} {
		if _, err := ask(t, c, address, "?"); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("address of %d bytes: %v, want invalid", len(address), err)
		}
	}
}

// TestAskSilence asks who does not answer, and stops a listener that is busy: it
// is told to end.
func TestAskSilence(t *testing.T) {
	_, c := journal(t, "stock")
	var ended atomic.Bool
	stop, err := c.Listen("deaf", func(ctx context.Context, _ []byte) []byte {
		<-ctx.Done()
		ended.Store(true)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Ask(ctx, "deaf", nil); fault.CodeOf(err) != fault.Deadline {
		t.Errorf("no answer: %v, want deadline_exceeded", err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := c.Ask(gone, "deaf", nil); fault.CodeOf(err) != fault.Canceled {
		t.Errorf("a caller who left: %v, want canceled", err)
	}
	stop()
	if !ended.Load() {
		t.Error("stop did not wait for the answers under way")
	}
}

// TestAskTooMuch fills a listener: one more is refused at once.
func TestAskTooMuch(t *testing.T) {
	_, c := journal(t, "stock")
	release := make(chan struct{})
	var inside atomic.Int64
	stop, err := c.Listen("full", func(context.Context, []byte) []byte { inside.Add(1); <-release; return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	defer close(release)
	const places = 1024
	for range places {
		go func() { _, _ = c.Ask(t.Context(), "full", nil) }()
	}
	eventually(t, "all places are taken", func() bool { return inside.Load() == places })
	if _, err := ask(t, c, "full", "?"); fault.CodeOf(err) != fault.Overloaded || fault.RetryAfterOf(err) == 0 {
		t.Errorf("one more: %v, want overloaded", err)
	}
}

// TestAskThroughRestarts asks while the broker is killed: no answer comes late
// or never, and afterwards everything is as before.
func TestAskThroughRestarts(t *testing.T) {
	p := startProcess(t)
	c, other := connect(t, p.url(), broker.Options{}), connect(t, p.url(), broker.Options{})
	open(t, c, "stock")
	reached := make(chan struct{}, 100)
	stop, err := c.Listen("here", func(ctx context.Context, request []byte) []byte {
		if string(request) == "slow" {
			reached <- struct{}{}
			<-ctx.Done()
		}
		return echo(ctx, request)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	eventually(t, "the listener", func() bool { _, err := ask(t, other, "here", "?"); return err == nil })
	lost := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := other.Ask(ctx, "here", []byte("slow"))
		lost <- err
	}()
	<-reached
	p.kill()
	eventually(t, "an answer that cannot come", func() bool {
		_, err := ask(t, other, "here", "?")
		return fault.CodeOf(err) == fault.Unavailable
	})
	p.start()
	if err := <-lost; fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("asked before the broker was killed: %v, want unavailable", err)
	}
	eventually(t, "the listener after the restart", func() bool { _, err := ask(t, other, "here", "?"); return err == nil })
}
