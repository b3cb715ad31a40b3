package consultest_test

import (
	"context"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/kitmesh/kitmesh/infra/mesh/consultest"
)

// The tools that other tests rely on: a restart forgets, a pause silences.
func TestConsulLifeCycle(t *testing.T) {
	t.Parallel()
	start := time.Now()
	c := consultest.Start(t)
	t.Logf("ready in %v", time.Since(start).Round(time.Millisecond))
	client := c.Client()
	if err := client.Agent().ServiceRegister(&api.AgentServiceRegistration{Name: "x"}); err != nil {
		t.Fatal(err)
	}

	c.Pause()
	q := (&api.QueryOptions{}).WithContext(timeout(t, 200*time.Millisecond))
	if _, _, err := client.Catalog().Service("x", "", q); err == nil {
		t.Error("a paused Consul answered")
	}
	c.Resume()
	if entries, _, err := client.Catalog().Service("x", "", nil); err != nil || len(entries) != 1 {
		t.Errorf("after Resume: %d entries, %v; want 1", len(entries), err)
	}

	c.Restart()
	if entries, _, err := client.Catalog().Service("x", "", nil); err != nil || len(entries) != 0 {
		t.Errorf("after Restart: %d entries, %v; want 0", len(entries), err)
	}
}
func timeout(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
