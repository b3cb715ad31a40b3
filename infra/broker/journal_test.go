package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/broker"
	"github.com/kitmesh/kitmesh/services/fault"
)

func TestAppendIsCompareAndSet(t *testing.T) {
	j, _ := journal(t, "orders")
	ctx := t.Context()
	if _, _, err := j.Last(ctx, "a"); fault.CodeOf(err) != fault.NotFound {
		t.Fatalf("Last of nothing: %v, want not_found", err)
	}
	first, err := j.Append(ctx, "a", "begun", []byte("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(ctx, "b", "", []byte("elsewhere"), 0); err != nil {
		t.Fatalf("another key: %v", err)
	}
	for _, after := range []uint64{0, first + 1, first + 100} {
		for _, kind := range []string{"", "begun", "ended"} {
			if _, err := j.Append(ctx, "a", kind, []byte("late"), after); fault.CodeOf(err) != fault.Conflict {
				t.Errorf("Append of a %q after %d: %v, want conflict", kind, after, err)
			}
		}
	}
	second, err := j.Append(ctx, "a", "ended", []byte("two"), first)
	if err != nil {
		t.Fatal(err)
	}
	event, seq, err := j.Last(ctx, "a")
	if err != nil || string(event) != "two" || seq != second {
		t.Errorf("Last = %q, %d, %v; want two, %d", event, seq, err, second)
	}
	if tail, err := j.Tail(ctx); err != nil || tail != second {
		t.Errorf("Tail = %d, %v; want %d", tail, err, second)
	}
}

func TestKeysOfAnyCharacters(t *testing.T) {
	j, _ := journal(t, "odd")
	keys := []string{"a.b", "a", "*", ">", "a b", "é", "a=2Eb", "a\tb\n", "=", "A"}
	for _, k := range keys {
		if _, err := j.Append(t.Context(), k, "", []byte(k), 0); err != nil {
			t.Fatalf("%q: %v", k, err)
		}
	}
	for _, k := range keys {
		if event, _, err := j.Last(t.Context(), k); err != nil || string(event) != k {
			t.Errorf("Last(%q) = %q, %v", k, event, err)
		}
	}
	var got []string
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := j.Follow(ctx, 0, func(key string, _ uint64, _ []byte) {
		if got = append(got, key); len(got) == len(keys) {
			cancel()
		}
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, keys) {
		t.Errorf("Follow gave the keys %q, want %q", got, keys)
	}
	for _, bad := range []string{"", string(make([]byte, 300))} {
		if _, err := j.Append(t.Context(), bad, "", nil, 0); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("key of %d bytes: %v, want invalid", len(bad), err)
		}
	}
}

func TestBadNamesAndAddresses(t *testing.T) {
	_, c := journal(t, "orders")
	for _, name := range []string{"", "a.b", "a b", ">"} {
		if _, err := c.Journal(t.Context(), name); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("journal %q: %v, want invalid", name, err)
		}
	}
	if _, err := broker.Connect(t.Context(), "nats://[", broker.Options{}); err == nil {
		t.Error("a broken URL was taken")
	}
	for _, addr := range []string{"nowhere", "127.0.0.1:x", "127.0.0.1:99999"} {
		if s, err := broker.Start(t.Context(), broker.ServerOptions{Addr: addr, Dir: t.TempDir()}); err == nil {
			_ = s.Stop()
			t.Errorf("address %q was taken", addr)
		}
	}
}

func TestOneServerPerDirectoryAndAddress(t *testing.T) {
	o := broker.ServerOptions{Addr: freeAddr(t), Dir: t.TempDir()}
	s, err := broker.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := broker.Start(t.Context(), broker.ServerOptions{Dir: o.Dir}); err == nil {
		t.Error("a second server took the directory")
	}
	if _, err := broker.Start(t.Context(), broker.ServerOptions{Addr: o.Addr, Dir: t.TempDir()}); err == nil {
		t.Error("a second server took the address")
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	again, err := broker.Start(t.Context(), o)
	if err != nil {
		t.Fatalf("after Stop: %v", err)
	}
	if err := again.Stop(); err != nil {
		t.Error(err)
	}
}

func TestBrokerAway(t *testing.T) {
	p := startProcess(t)
	c := connect(t, p.url(), broker.Options{Grace: 200 * time.Millisecond})
	j := open(t, c, "orders")
	eventually(t, "Health says connected", func() bool {
		s, err := c.Health(t.Context())
		return err == nil && strings.HasPrefix(s, "connected")
	})
	p.kill()
	eventually(t, "Health says reconnecting first", func() bool {
		s, err := c.Health(t.Context())
		return err == nil && strings.HasPrefix(s, "reconnecting")
	})
	eventually(t, "Health fails", func() bool { _, err := c.Health(t.Context()); return err != nil })

	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := j.Append(ctx, "a", "", nil, 0); fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("Append: %v, want unavailable", err)
	}
	if _, _, err := j.Last(ctx, "a"); fault.CodeOf(err) != fault.Unavailable || fault.Blames(err) {
		t.Errorf("Last: %v, want unavailable, not held against the instance that passes it on", err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := j.Append(gone, "a", "", nil, 0); fault.CodeOf(err) != fault.Canceled {
		t.Errorf("Append of a caller who left: %v, want canceled", err)
	}

	// A write that waits through the restart succeeds.
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := j.Append(ctx, "patient", "", nil, 0)
		done <- err
	}()
	p.start()
	if err := <-done; err != nil {
		t.Errorf("Append through a restart: %v", err)
	}
}

// TestFrozenBroker stops the broker's process without killing it: nobody hangs
// for longer than asked, and the frozen write is there once afterwards.
func TestFrozenBroker(t *testing.T) {
	p := startProcess(t)
	c := connect(t, p.url(), broker.Options{})
	j := open(t, c, "orders")
	seq, err := j.Append(t.Context(), "a", "", []byte("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	p.freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	start := time.Now()
	_, err = j.Append(ctx, "a", "", []byte("lost"), seq)
	cancel()
	if d := time.Since(start); fault.CodeOf(err) != fault.Unavailable || d > 3*time.Second {
		t.Errorf("Append to a frozen broker: %v after %s, want unavailable after 300ms", err, d)
	}
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := j.Append(ctx, "b", "", []byte("patient"), 0)
		done <- err
	}()
	eventually(t, "the client gives the connection up", func() bool {
		s, err := c.Health(t.Context())
		return err == nil && strings.HasPrefix(s, "reconnecting")
	})
	p.signal(syscall.SIGCONT)
	if err := <-done; err != nil {
		t.Errorf("Append through the freeze: %v", err)
	}
	for key, want := range map[string][]string{"a": {"one", "lost"}, "b": {"patient"}} {
		event, _, err := j.Last(t.Context(), key)
		if err != nil || !slices.Contains(want, string(event)) {
			t.Errorf("Last(%s) = %q, %v; want one of %q", key, event, err, want)
		}
	}
}

func TestConnectBeforeTheBrokerIsThere(t *testing.T) {
	addr, dir := freeAddr(t), t.TempDir()
	c := connect(t, "nats://"+addr, broker.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.Journal(ctx, "orders"); fault.CodeOf(err) != fault.Unavailable {
		t.Fatalf("Journal without a broker: %v, want unavailable", err)
	}
	s, err := broker.Start(t.Context(), broker.ServerOptions{Addr: addr, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	open(t, c, "orders")
}

// TestKillLosesNothing kills the broker's process under writers and then
// compares what was acknowledged with what is stored.
func TestKillLosesNothing(t *testing.T) {
	const writers, kills = 8, 4
	p := startProcess(t)
	c := connect(t, p.url(), broker.Options{})
	j := open(t, c, "orders")

	var mu sync.Mutex
	acked := map[string]uint64{} // event → sequence
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			key, after := fmt.Sprint("w", w), uint64(0)
			for i := 0; ctx.Err() == nil; i++ {
				event := fmt.Sprintf("%d-%d", w, i)
				// Own context: a write in flight at the end must be decided, too.
				wctx, done := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
				seq, err := j.Append(wctx, key, fmt.Sprint("kind-", i%3), []byte(event), after)
				done()
				if err != nil {
					t.Errorf("%s: %v", event, err)
					return
				}
				after = seq
				mu.Lock()
				acked[event] = seq
				mu.Unlock()
			}
		})
	}
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(acked) }
	for k := range kills {
		goal := count() + 200
		eventually(t, fmt.Sprint("writes before kill ", k), func() bool { return count() > goal || t.Failed() })
		p.kill()
		p.start()
	}
	goal := count() + 200
	eventually(t, "writes after the last kill", func() bool { return count() > goal || t.Failed() })
	cancel()
	wg.Wait()
	p.kill() // once more, after the last acknowledgement
	p.start()
	audit(t, j, acked)
}

func audit(t *testing.T, j *broker.Journal, acked map[string]uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tail, err := j.Tail(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string][]uint64{}
	fctx, stop := context.WithCancel(ctx)
	if err := j.Follow(fctx, 0, func(_ string, seq uint64, event []byte) {
		stored[string(event)] = append(stored[string(event)], seq)
		if seq == tail {
			stop()
		}
	}); err != nil {
		t.Fatal(err)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Fatal("the replay did not reach the tail")
	}
	for event, seq := range acked {
		if got := stored[event]; len(got) != 1 || got[0] != seq {
			t.Errorf("%s was acknowledged as %d and is stored as %v", event, seq, got)
		}
	}
	if len(stored) != len(acked) {
		t.Errorf("%d events are stored, %d were acknowledged", len(stored), len(acked))
	}
	t.Logf("%d events, all there once", len(acked))
}
