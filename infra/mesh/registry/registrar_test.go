package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/kitmesh/kitmesh/infra/mesh/consultest"
	"github.com/kitmesh/kitmesh/infra/mesh/registry"
)

func registration(id string) registry.Registration {
	return registry.Registration{
		Service: "catalog", ID: id, Addr: "127.0.0.1:4242", Version: "v1", Zone: "local",
		Admin: "http://127.0.0.1:4243", Tags: []string{"tier=front"}, Weight: 3,
		Meta: map[string]string{"team": "tea", "version": "the field wins"}, TTL: 400 * time.Millisecond,
	}
}

// run runs the registrar until the returned stop, which waits for its end.
func run(t *testing.T, r *registry.Registrar) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Run did not end within 5 s of its context")
		}
	})
	t.Cleanup(stop)
	return stop
}

// await polls until ok or fails the test with what was last seen.
func await[T any](t *testing.T, within time.Duration, what string, look func() (T, bool)) (T, time.Duration) {
	t.Helper()
	start := time.Now()
	for {
		seen, ok := look()
		if ok {
			return seen, time.Since(start)
		}
		if time.Since(start) > within {
			t.Fatalf("%s: not within %v; last seen %v", what, within, seen)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func entries(client *api.Client, status string) func() ([]*api.ServiceEntry, bool) {
	return func() ([]*api.ServiceEntry, bool) {
		all, _, _ := client.Health().Service("catalog", "", false, nil)
		all = slices.DeleteFunc(all, func(e *api.ServiceEntry) bool { return e.Checks.AggregatedStatus() != status })
		return all, len(all) > 0
	}
}

func TestInstanceInConsul(t *testing.T) {
	t.Parallel()
	consul := consultest.Start(t)
	client := consul.Client()
	var mood atomic.Pointer[error]
	health := func(context.Context) (string, error) {
		if err := mood.Load(); err != nil {
			return "", *err
		}
		return "serves 3 shelves", nil
	}
	stop := run(t, registry.New(client, registration("catalog-1"), health, nil))

	found, took := await(t, 5*time.Second, "passing", entries(client, api.HealthPassing))
	t.Logf("registered and passing in %v", took)
	entry := found[0]
	if entry.Service.Weights.Passing != 3 || entry.Service.Port != 4242 || !entry.Service.Connect.Native {
		t.Errorf("service = %+v; want weight 3, port 4242, connect native", entry.Service)
	}
	if want := []string{"version=v1", "zone=local", "tier=front"}; !slices.Equal(entry.Service.Tags, want) {
		t.Errorf("tags = %v, want %v", entry.Service.Tags, want)
	}
	for key, want := range map[string]string{"version": "v1", "zone": "local", "admin": "http://127.0.0.1:4243", "team": "tea"} {
		if got := entry.Service.Meta[key]; got != want {
			t.Errorf("meta %s = %q, want %q", key, got, want)
		}
	}
	if _, err := time.Parse(time.RFC3339, entry.Service.Meta["started"]); err != nil {
		t.Errorf("meta started: %v", err)
	}

	limping := fmt.Errorf("slow disk: %w", registry.ErrWarn)
	mood.Store(&limping)
	found, _ = await(t, 2*time.Second, "warning", entries(client, api.HealthWarning))
	if out := sentence(found[0]); out != "slow disk: degraded" {
		t.Errorf("check output %q, want the health's sentence", out)
	}
	broken := errors.New("the broker is gone")
	mood.Store(&broken)
	found, _ = await(t, 2*time.Second, "critical", entries(client, api.HealthCritical))
	if out := sentence(found[0]); out != "the broker is gone" {
		t.Errorf("check output %q, want the health's sentence", out)
	}
	mood.Store(nil)
	await(t, 2*time.Second, "passing again", entries(client, api.HealthPassing))

	stop()
	if all, _, err := client.Health().Service("catalog", "", false, nil); err != nil || len(all) != 0 {
		t.Errorf("after the end: %d entries, %v; want none", len(all), err)
	}
}

func sentence(e *api.ServiceEntry) string {
	for _, c := range e.Checks {
		if c.ServiceID != "" {
			return c.Output
		}
	}
	return ""
}

// Callers must see "draining" before the entry goes.
func TestDrainSaysGoodbye(t *testing.T) {
	t.Parallel()
	consul := consultest.Start(t)
	client := consul.Client()
	r := registry.New(client, registration("catalog-1"), nil, nil)
	run(t, r)
	await(t, 5*time.Second, "passing", entries(client, api.HealthPassing))

	left := make(chan error, 1)
	go func() { left <- r.Drain(t.Context()) }()
	found, _ := await(t, 2*time.Second, "draining", entries(client, api.HealthCritical))
	if out := sentence(found[0]); len(out) < len(registry.Draining) || out[:len(registry.Draining)] != registry.Draining {
		t.Errorf("check output %q, want it to begin with %q", out, registry.Draining)
	}
	if err := <-left; err != nil {
		t.Errorf("Drain: %v", err)
	}
	// Beats go on until the context ends, but must not bring the entry back.
	for range 5 {
		if all, _, _ := client.Health().Service("catalog", "", false, nil); len(all) != 0 {
			t.Fatalf("after Drain: %d entries, want none", len(all))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// A killed instance leaves an entry behind; the next one with its id replaces
// it, status included.
func TestSameIDReplacesStaleEntry(t *testing.T) {
	t.Parallel()
	consul := consultest.Start(t)
	client := consul.Client()
	stale := &api.AgentServiceRegistration{
		ID: "catalog-1", Name: "catalog", Address: "127.0.0.1", Port: 1,
		Check: &api.AgentServiceCheck{CheckID: "alive:catalog-1", TTL: "1ms", Status: api.HealthCritical},
	}
	if err := client.Agent().ServiceRegister(stale); err != nil {
		t.Fatal(err)
	}
	run(t, registry.New(client, registration("catalog-1"), nil, nil))
	found, took := await(t, 5*time.Second, "passing", entries(client, api.HealthPassing))
	t.Logf("replaced in %v", took)
	if len(found) != 1 || found[0].Service.Port != 4242 {
		t.Errorf("entries = %d, port %d; want the new one alone", len(found), found[0].Service.Port)
	}
}

// The whole mesh is back within 2 s after an emptied Consul answers.
func TestReregisterAfterRestart(t *testing.T) {
	const instances = 21
	consul := consultest.Start(t)
	for n := range instances {
		reg := registration(fmt.Sprintf("catalog-%d", n))
		reg.TTL = registry.DefaultTTL
		run(t, registry.New(consul.Client(), reg, nil, nil))
	}
	client := consul.Client()
	all := func() (int, bool) {
		found, _ := entries(client, api.HealthPassing)()
		return len(found), len(found) == instances
	}
	await(t, 10*time.Second, "all registered", all)

	consul.Kill()
	time.Sleep(time.Second) // beats fail meanwhile
	consul.Restart()
	_, took := await(t, 2*time.Second, "all registered again", all)
	t.Logf("%d instances registered again %v after Consul answered", instances, took.Round(time.Millisecond))
}

// A frozen Consul blocks neither the beats for ever nor the departure.
func TestFrozenConsul(t *testing.T) {
	t.Parallel()
	consul := consultest.Start(t)
	client := consul.Client()
	r := registry.New(client, registration("catalog-1"), nil, nil)
	stop := run(t, r)
	await(t, 5*time.Second, "passing", entries(client, api.HealthPassing))

	consul.Pause()
	time.Sleep(1500 * time.Millisecond) // longer than the TTL and than one call may take
	consul.Resume()
	_, took := await(t, 3*time.Second, "passing again", entries(client, api.HealthPassing))
	t.Logf("passing again %v after the freeze", took.Round(time.Millisecond))

	consul.Pause()
	start := time.Now()
	stop()
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("leaving took %v with Consul frozen, want at most 3 s", took)
	}
	consul.Resume()
}

// An instance starts while Consul is down and registers when it comes.
func TestStartBeforeConsul(t *testing.T) {
	t.Parallel()
	consul := consultest.Start(t)
	consul.Kill()
	run(t, registry.New(consul.Client(), registration("catalog-1"), nil, nil))
	time.Sleep(300 * time.Millisecond)
	consul.Restart()
	await(t, 3*time.Second, "passing", entries(consul.Client(), api.HealthPassing))
}

func TestGoKitRegistrar(t *testing.T) {
	t.Parallel()
	consul := consultest.Start(t)
	client := consul.Client()
	r := registry.New(client, registration("catalog-1"), nil, nil)
	r.Register()
	r.Register() // the second changes nothing
	await(t, 5*time.Second, "passing", entries(client, api.HealthPassing))
	r.Deregister()
	r.Deregister()
	if all, _, err := client.Health().Service("catalog", "", false, nil); err != nil || len(all) != 0 {
		t.Errorf("after Deregister: %d entries, %v; want none", len(all), err)
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	consul := consultest.Start(t)
	client := consul.Client()
	if err := client.Agent().ServiceRegister(&api.AgentServiceRegistration{ID: "catalog-9", Name: "catalog"}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is unknown
		if err := registry.Forget(t.Context(), client, "catalog-9"); err != nil {
			t.Errorf("Forget: %v", err)
		}
	}
	if all, _, _ := client.Health().Service("catalog", "", false, nil); len(all) != 0 {
		t.Errorf("%d entries left", len(all))
	}
	consul.Pause()
	if err := registry.Forget(t.Context(), client, "catalog-9"); err == nil {
		t.Error("a frozen Consul forgot")
	}
}

func TestImpossibleRegistrations(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*registry.Registration){
		"no service": func(r *registry.Registration) { r.Service = "" },
		"no id":      func(r *registry.Registration) { r.ID = "" },
		"no port":    func(r *registry.Registration) { r.Addr = "127.0.0.1" },
		"port zero":  func(r *registry.Registration) { r.Addr = "127.0.0.1:0" },
		"port name":  func(r *registry.Registration) { r.Addr = "127.0.0.1:http" },
	} {
		reg := registration("catalog-1")
		change(&reg)
		if err := registry.New(nil, reg, nil, nil).Run(t.Context()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
