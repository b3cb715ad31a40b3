package meshtest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/broker"
	"github.com/kitmesh/kitmesh/infra/runner"
)

const (
	benchSlices = 5 // of a floor; the best one counts: what else the machine does only hurts
	benchSlice  = time.Second
	benchOrders = 8 * time.Second // of the whole shop
	recordBytes = 700             // what the broker stores for an event of an order, headers included
)

// TestOrdersPerSecond measures how fast orders are with everything synced, and
// what bounds them: the disk's syncs, the broker's appends and each process's
// CPU time. docs/durability.md explains the numbers.
func TestOrdersPerSecond(t *testing.T) {
	if os.Getenv("KITMESH_BENCH_ORDERS") == "" {
		t.Skip("measures the machine: make bench-orders")
	}
	dir := t.TempDir()
	result("sync_floor", "µs", float64(syncFloor(t, dir).Microseconds()))
	for _, writers := range []int{1, 32} {
		perSecond := appends(t, filepath.Join(dir, strconv.Itoa(writers)), writers)
		result(fmt.Sprintf("appends_%d_writers", writers), "1/s", perSecond)
	}
	m := up(t, "bench", "--rate", "0", "--sample", "0.01", "--zipkin", "embedded", "--provider", "latency=1ms")
	for _, customers := range []int{1, 16} {
		m.benchShop(customers)
	}
}

func result(name, unit string, value float64) { fmt.Printf("bench: %s %.4g %s\n", name, value, unit) }

// syncFloor is how long one write of a record with its sync takes, at the median.
func syncFloor(t *testing.T, dir string) time.Duration {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, "floor"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	record := make([]byte, recordBytes)
	best := time.Hour
	for range benchSlices {
		var took []time.Duration
		for end := time.Now().Add(benchSlice); time.Now().Before(end); {
			began := time.Now()
			if _, err := file.Write(record); err != nil {
				t.Fatal(err)
			}
			if err := file.Sync(); err != nil {
				t.Fatal(err)
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		best = min(best, took[len(took)/2])
	}
	return best
}

// appends has writers write to a journal of a broker process, each to keys of its
// own, and returns how many there were per second.
func appends(t *testing.T, dir string, writers int) (perSecond float64) {
	t.Helper()
	bin, err := filepath.Abs("../../../bin/kitmesh")
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command(bin, "broker", "--addr", "127.0.0.1:0", "--dir", dir)
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	line := make([]byte, 512)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(line[:n], []byte("nats://"))
	url, _, _ := bytes.Cut(line[max(0, at):n], []byte(","))
	c, err := broker.Connect(t.Context(), strings.TrimSpace(string(url)), broker.Options{})
	if err != nil {
		t.Fatalf("%s: %v", line[:n], err)
	}
	defer c.Close()
	j, err := c.Journal(t.Context(), "bench")
	if err != nil {
		t.Fatal(err)
	}
	event := make([]byte, recordBytes)
	var count atomic.Int64
	for range benchSlices {
		before := count.Load()
		var all sync.WaitGroup
		end := time.Now().Add(benchSlice)
		for range writers {
			all.Go(func() {
				for time.Now().Before(end) {
					if _, err := j.Append(t.Context(), fmt.Sprint("k", count.Add(1)), "", event, 0); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		perSecond = max(perSecond, float64(count.Load()-before)/benchSlice.Seconds())
	}
	return perSecond
}

// benchShop has customers buy one after the other, and says what an order
// costs whom.
func (m *mesh) benchShop(customers int) {
	m.t.Helper()
	m.customers(customers, "warm", 2*time.Second)
	events, cpu := m.events(), m.cpu()
	orders, took := m.customers(customers, "bench", benchOrders)
	spent, written := m.cpu(), m.events()
	name := fmt.Sprintf("%d_customers", customers)
	result("orders_"+name, "1/s", float64(orders)/benchOrders.Seconds())
	slices.Sort(took)
	result("order_p50_"+name, "ms", took[len(took)/2].Seconds()*1000)
	result("order_p99_"+name, "ms", took[len(took)*99/100].Seconds()*1000)
	for _, journal := range slices.Sorted(maps.Keys(events)) {
		result("appends_per_order_"+journal, "", float64(written[journal]-events[journal])/float64(orders))
	}
	var sum time.Duration
	for _, process := range slices.Sorted(maps.Keys(cpu)) {
		d := spent[process] - cpu[process]
		sum += d
		result("cpu_per_order_"+process, "ms", d.Seconds()*1000/float64(orders))
	}
	result("cpu_per_order", "ms", sum.Seconds()*1000/float64(orders))
}

// customers buys for d, each customer one order after the other.
func (m *mesh) customers(n int, prefix string, d time.Duration) (orders int, took []time.Duration) {
	m.t.Helper()
	goods := []string{"tea-sencha-100", "tea-sencha-250", "air-press", "apron-linen", "biscuit-ginger-150", "biscuit-shortbread-200"}
	others := map[int]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	end := time.Now().Add(d)
	for c := range n {
		all.Go(func() {
			for i := 0; time.Now().Before(end); i++ {
				began := time.Now()
				a := m.answer(fmt.Sprintf("%s-%d-%d-%d", prefix, n, c, i), fmt.Sprintf(`{"lines":[{"sku":%q,"quantity":1}]}`, goods[(c+i)%len(goods)]))
				mu.Lock()
				if a.status != http.StatusCreated {
					others[a.status]++
				}
				orders++
				took = append(took, time.Since(began))
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(others) > 0 {
		m.t.Logf("%d orders were not answered with 201: %v", orders, others)
	}
	return orders, took
}

// events counts those of each journal.
func (m *mesh) events() map[string]uint64 {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 10*time.Second)
	defer cancel()
	c, err := broker.Connect(ctx, m.state.Broker, broker.Options{})
	if err != nil {
		m.t.Fatal(err)
	}
	defer c.Close()
	n := map[string]uint64{}
	for _, name := range []string{"orders", "payments", "stock", "shipments"} {
		j, err := c.Journal(ctx, name)
		if err != nil {
			m.t.Fatal(err)
		}
		if n[name], err = j.Tail(ctx); err != nil {
			m.t.Fatal(err)
		}
	}
	return n
}

// cpu is the time that each part, and the instances of each service together,
// have used of the processors.
func (m *mesh) cpu() map[string]time.Duration {
	m.t.Helper()
	const tick = 10 * time.Millisecond // Linux has shown processes a hundred per second for decades
	used := map[string]time.Duration{}
	add := func(name string, pid int) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			m.t.Fatal(err)
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		used[name] += time.Duration(user+system) * tick
	}
	s := m.status()
	for _, i := range s.Instances {
		add(i.Service, i.PID)
	}
	for _, p := range s.Parts {
		add(p.Name, p.PID)
	}
	if len(used) < len(runner.Services)+4 {
		m.t.Fatalf("only %v are known", used)
	}
	return used
}
