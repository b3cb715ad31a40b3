package inventory_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/broker"
	"github.com/kitmesh/kitmesh/services/inventory"
)

// envInstance makes the test binary an instance of inventory on the broker at
// this URL.
const envInstance = "KITMESH_TEST_INVENTORY"

// runInstance sells cups without end, and says so after the first.
func runInstance(url string) error {
	ctx := context.Background()
	c, err := broker.Connect(ctx, url, broker.Options{})
	if err != nil {
		return err
	}
	j, err := c.Journal(ctx, "stock")
	if err != nil {
		return err
	}
	l := inventory.New(j, c, shelves, inventory.Options{ID: "child", BalanceEvery: -1})
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	for i := 0; ; i++ {
		select {
		case err := <-ended:
			return err
		default:
		}
		key, cup := fmt.Sprintf("child-%d-%d", os.Getpid(), i), []inventory.Line{{SKU: "cup", Quantity: 1}}
		if _, err := l.Reserve(ctx, inventory.ReserveRequest{Key: key, Lines: cup}); err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		_, _ = l.Release(ctx, inventory.SettleRequest{Key: key, Lines: cup})
		if l.Owned() > 0 && i > 10 {
			fmt.Println("owner") // nobody reads more than one
		}
	}
}

// child is an instance in a process of its own that owns the shard of cups and
// writes all the time.
func child(t *testing.T, url string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), envInstance+"="+url)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "owner" {
		t.Fatalf("the instance said %q, %v", lines.Text(), lines.Err())
	}
	go func() { // until the process ends
		for lines.Scan() {
		}
	}()
	return cmd
}

// maxTakeover is promised, from the signal to the answer of the first order.
const maxTakeover = 2 * time.Second

// TestTakeover kills or stops the owner of a shard, a process that writes all
// the time, and measures how long an order takes that was placed right after.
func TestTakeover(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
		t.Run(sig.String(), func(t *testing.T) {
			w := journal(t)
			l := instanceOn(t, w.Journal, w.Client, inventory.Options{ID: "parent", BalanceEvery: -1})
			owner := child(t, w.url)
			must(t, reserve(t, l, "before", lines(1, "cup")))
			if l.Owned() > 0 {
				t.Fatal("the owner is not the child")
			}
			must(t, owner.Process.Signal(sig))
			began := time.Now()
			must(t, reserve(t, l, "after", lines(1, "cup")))
			took := time.Since(began)
			t.Logf("the first order after %s took %s", sig, took.Round(time.Millisecond))
			if took > maxTakeover {
				t.Errorf("an order took %s, want at most %s", took, maxTakeover)
			}
			if sig == syscall.SIGSTOP { // it goes on, believing that it owns the shard
				answered := l.Stats().Requests.Load()
				must(t, owner.Process.Signal(syscall.SIGCONT))
				eventually(t, "the old owner sends its orders here", func() bool { return l.Stats().Requests.Load() > answered+10 })
			}
			must(t, commit(t, l, "before", lines(1, "cup")))
			audit(t, w)
		})
	}
}
