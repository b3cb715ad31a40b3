//go:build compose

package composetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/zipkin/tracetest"
)

var services = []string{"gateway", "catalog", "pricing", "inventory", "orders", "payments", "shipping"}

// TestStack uses one stack for everything, because starting it is what costs.
// The parts run in order; those that hurt the stack wait until it has healed.
func TestStack(t *testing.T) {
	up(t)
	t.Run("every service has 3 passing instances", registered)
	t.Run("containers are confined", confined)
	t.Run("an order leaves a complete trace", traced)
	t.Run("status lists the stack", status)
	t.Run("kills under load are invisible", killed)
	t.Run("an order survives a killed broker", durable)
	t.Run("the tool steers containers", steered)
	t.Run("an experiment on containers", survives)
}

// passing counts a service's healthy instances in Consul.
func passing(service string) (int, error) {
	var entries []json.RawMessage
	err := get(consul+"/v1/health/service/"+service+"?passing=1", &entries)
	return len(entries), err
}

func wantPassing(t *testing.T, service string, n int) {
	t.Helper()
	eventually(t, soon, func() error {
		got, err := passing(service)
		if err == nil && got != n {
			err = fmt.Errorf("%s has %d passing instances in Consul, want %d", service, got, n)
		}
		return err
	})
}

func registered(t *testing.T) {
	for _, service := range services {
		wantPassing(t, service, 3)
	}
}

// confined reads back from the engine what docker-compose.yml promises.
func confined(t *testing.T) {
	type container struct {
		Name       string
		Config     struct{ User, Image string }
		HostConfig struct {
			ReadonlyRootfs bool
			Memory         int64
			CapDrop        []string
			SecurityOpt    []string
			PortBindings   map[string][]struct{ HostIP, HostPort string }
		}
	}
	ids := strings.Fields(docker(t, oneCommand, "compose", "ps", "--quiet"))
	var containers []container
	if err := json.Unmarshal([]byte(docker(t, oneCommand, append([]string{"inspect"}, ids...)...)), &containers); err != nil {
		t.Fatal(err)
	}
	if len(containers) < 21+4 {
		t.Errorf("%d containers run", len(containers))
	}
	for _, c := range containers {
		h := c.HostConfig
		if !h.ReadonlyRootfs || h.Memory == 0 || !slices.Contains(h.CapDrop, "ALL") || !slices.Contains(h.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s is not confined: %+v", c.Name, h)
		}
		if own := strings.HasPrefix(c.Config.Image, "kitmesh/"); own && c.Config.User != "65532:65532" && !strings.Contains(c.Name, "supervisor") {
			t.Errorf("%s runs as %q", c.Name, c.Config.User)
		}
		if user, _, _ := strings.Cut(c.Config.User, ":"); slices.Contains([]string{"", "0", "root"}, user) && !strings.Contains(c.Name, "supervisor") {
			t.Errorf("%s runs as root", c.Name)
		}
		for port, bindings := range h.PortBindings {
			for _, b := range bindings {
				if b.HostIP != "127.0.0.1" {
					t.Errorf("%s publishes %s on %q", c.Name, port, b.HostIP)
				}
			}
		}
	}
}

// placeOrder buys one piece of the first product.
func placeOrder(t *testing.T, key string) (id, traceID string) {
	t.Helper()
	var page struct {
		Products []struct {
			SKU string `json:"sku"`
		} `json:"products"`
	}
	if err := get(shop+"/v1/products?page_size=1", &page); err != nil || len(page.Products) == 0 {
		t.Fatalf("products: %v, %v", page, err)
	}
	var order struct {
		ID      string `json:"id"`
		TraceID string `json:"trace_id"`
	}
	eventually(t, soon, func() error {
		body := fmt.Sprintf(`{"lines":[{"sku":%q,"quantity":1}]}`, page.Products[0].SKU)
		ctx, cancel := context.WithTimeout(t.Context(), oneRequest)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, shop+"/v1/orders", strings.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", key)
		return exchange(req, http.StatusCreated, &order)
	})
	if order.ID == "" || order.TraceID == "" {
		t.Fatalf("order %+v has no id or no trace id", order)
	}
	return order.ID, order.TraceID
}

func traced(t *testing.T) {
	_, traceID := placeOrder(t, fmt.Sprintf("compose-trace-%d", time.Now().UnixNano()))
	eventually(t, soon, func() error { return tracetest.Order(t.Context(), zipkin, traceID) })
	eventually(t, soon, func() error { return tracetest.Graph(t.Context(), zipkin) })
}

// meshState is what kitmesh status -o json says, as far as it is used here.
type meshState struct {
	Gateway   string `json:"gateway"`
	RSSBytes  int64  `json:"rss_bytes"`
	Instances []struct {
		Service   string `json:"service"`
		ID        string `json:"id"`
		Container string `json:"container"`
		Status    string `json:"status"`
	} `json:"instances"`
	Parts []struct {
		Name   string `json:"name"`
		Status string `json:"status"`
	} `json:"parts"`
}

func readStatus(t *testing.T) meshState {
	t.Helper()
	var s meshState
	if err := json.Unmarshal([]byte(kitmesh(t, oneCommand, "status", "-o", "json")), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func status(t *testing.T) {
	s := readStatus(t)
	running := map[string]int{}
	for _, i := range s.Instances {
		if i.Status == "running" {
			running[i.Service]++
		}
	}
	for _, service := range services {
		if running[service] != 3 {
			t.Errorf("status shows %d running instances of %s", running[service], service)
		}
	}
	if s.Gateway != shop {
		t.Errorf("the shop is at %q", s.Gateway)
	}
	var parts []string
	for _, p := range s.Parts {
		if p.Status == "running" {
			parts = append(parts, p.Name)
		}
	}
	for _, want := range []string{"broker", "consul", "edge", "load", "provider", "supervisor", "zipkin"} {
		if !slices.Contains(parts, want) {
			t.Errorf("status shows no running %s, only %v", want, parts)
		}
	}
	t.Logf("memory of instances, broker and Consul: %d MiB", s.RSSBytes>>20)
}

// loadAttempts bounds how often a load is repeated that this machine was too
// busy to send in time: what customers saw then says nothing about the kills.
const loadAttempts = 3

// killed kills containers with docker kill and with the tool while customers
// come: none of them may notice, and every container comes back.
func killed(t *testing.T) {
	docker(t, oneCommand, "compose", "--progress", "quiet", "stop", "load") // the measured load replaces the light one
	for attempt := range loadAttempts {
		result := loadWithKills(t)
		t.Logf("%d requests, %d sent late, failures %v, p99 %.0f ms", result.Requests, result.Late, result.Failures, result.P99)
		registered(t) // every one came back
		if result.Requests < 2000 {
			t.Fatalf("only %d requests were sent", result.Requests)
		}
		if len(result.Failures) == 0 {
			return
		}
		if starved := result.Late > result.Requests/20; !starved || attempt == loadAttempts-1 {
			t.Fatalf("customers noticed: %v", result.Failures)
		}
		t.Log("more than 5 % were sent late: the machine is too busy to judge; once more")
	}
}

type loadResult struct {
	Requests int            `json:"requests"`
	Late     int            `json:"late"`
	Failures map[string]int `json:"failures"`
	P99      float64        `json:"p99_ms"`
}

// loadWithKills ends four containers of four services in the middle of a load
// of about half of what two cores carry.
func loadWithKills(t *testing.T) loadResult {
	t.Helper()
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	load := exec.CommandContext(ctx, tool(t), "load", "--target", "compose",
		"--rate", "50", "--duration", "40s", "--verify-orders", "-o", "json",
		// Patient customers: a kill must not become an error. How fast the shop
		// is says a benchmark, not a stack that shares its machine with builds.
		"--browse-deadline", "5s", "--checkout-deadline", "9s")
	load.Stdout, load.Stderr = &stdout, &stderr
	if err := load.Start(); err != nil {
		t.Fatal(err)
	}
	for _, kill := range []func(){
		func() { docker(t, oneCommand, "kill", "kitmesh-catalog-1") },
		func() { docker(t, oneCommand, "kill", "kitmesh-orders-2") },
		func() { kitmesh(t, oneCommand, "kill", "pricing") },
		func() { kitmesh(t, oneCommand, "kill", "gateway/3") },
	} {
		time.Sleep(7 * time.Second) // a pace, not a wait: the load goes on meanwhile
		kill()
	}
	if err := load.Wait(); err != nil {
		t.Fatalf("load: %v\n%s%s", err, tail(stdout.String()), tail(stderr.String()))
	}
	var result loadResult
	if err := json.Unmarshal(stdout.Bytes(), &result); err != nil {
		t.Fatalf("%v\n%s", err, stdout.String())
	}
	return result
}

// durable kills the broker, which holds all state, and finds the order again.
func durable(t *testing.T) {
	id, _ := placeOrder(t, fmt.Sprintf("compose-durable-%d", time.Now().UnixNano()))
	docker(t, oneCommand, "kill", "kitmesh-nats-1")
	var order struct {
		ID string `json:"id"`
	}
	eventually(t, soon, func() error { return get(shop+"/v1/orders/"+id, &order) })
	if order.ID != id {
		t.Errorf("order %q instead of %q", order.ID, id)
	}
	again, _ := placeOrder(t, fmt.Sprintf("compose-after-%d", time.Now().UnixNano()))
	if again == id {
		t.Error("a new key got the old order")
	}
}

// steered goes through what the tool does to containers besides killing them.
func steered(t *testing.T) {
	victim := func(container string) string {
		for _, i := range readStatus(t).Instances {
			if i.Container == container {
				return i.Status
			}
		}
		return "missing"
	}
	kitmesh(t, oneCommand, "pause", "shipping/1")
	if got := victim("kitmesh-shipping-1"); got != "paused" {
		t.Errorf("after pause it is %s", got)
	}
	kitmesh(t, oneCommand, "resume", "shipping/1")
	if got := victim("kitmesh-shipping-1"); got != "running" {
		t.Errorf("after resume it is %s", got)
	}
	kitmesh(t, oneCommand, "slow", "pricing/1", "--latency", "100ms")
	kitmesh(t, oneCommand, "slow", "pricing/1", "--clear")
	kitmesh(t, oneCommand, "scale", "catalog", "4")
	wantPassing(t, "catalog", 4)
	kitmesh(t, oneCommand, "scale", "catalog", "3")
	wantPassing(t, "catalog", 3)
	kitmesh(t, oneCommand, "restart", "payments/2")
	wantPassing(t, "payments", 3)
	if log := kitmesh(t, oneCommand, "logs", "edge"); log == "" {
		t.Error("the edge has no log")
	}
}
