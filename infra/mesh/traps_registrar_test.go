package mesh_test

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/go-kit/kit/sd"
	kitconsul "github.com/go-kit/kit/sd/consul"
	"github.com/go-kit/log"
	"github.com/hashicorp/consul/api"

	"github.com/kitmesh/kitmesh/infra/mesh/consultest"
	"github.com/kitmesh/kitmesh/infra/mesh/registry"
)

// newRegistrar makes a registrar of instance "x-1" at a Consul.
type newRegistrar func(t testing.TB, url string) sd.Registrar

func ourRegistrar(t testing.TB, url string) sd.Registrar {
	client, err := api.NewClient(&api.Config{Address: url})
	if err != nil {
		t.Fatal(err)
	}
	return registry.New(client, registry.Registration{Service: "x", ID: "x-1", Addr: "127.0.0.1:4242"}, nil, nil)
}

func stockRegistrar(t testing.TB, url string) sd.Registrar {
	client, err := api.NewClient(&api.Config{Address: url})
	if err != nil {
		t.Fatal(err)
	}
	return kitconsul.NewRegistrar(kitconsul.NewClient(client), &api.AgentServiceRegistration{
		ID: "x-1", Name: "x", Address: "127.0.0.1", Port: 4242,
	}, log.NewNopLogger())
}

func TestTrapsOfRegistrars(t *testing.T) {
	for name, body := range map[string]func(*testing.T, newRegistrar) string{
		"a frozen Consul blocks nobody": registrarIsNotBlocked,
		"Consul comes late":             registersWhenConsulComes,
		"Consul restarts empty":         registersAgain,
		"kill -9 is noticed in 1 s":     killIsNoticed,
	} {
		trap[newRegistrar]{name, body, ourRegistrar, stockRegistrar}.run(t)
	}
}

func passing(client *api.Client) bool {
	found, _, err := client.Health().Service("x", "", true, nil)
	return err == nil && len(found) == 1
}

func registrarIsNotBlocked(t *testing.T, newR newRegistrar) string {
	r := newR(t, frozen(t))
	if !inTime(time.Second, r.Register) {
		return "Register hangs on a frozen Consul"
	}
	if !inTime(5*time.Second, r.Deregister) {
		return "Deregister hangs on a frozen Consul"
	}
	return ""
}

func registersWhenConsulComes(t *testing.T, newR newRegistrar) string {
	consul := consultest.Start(t)
	consul.Kill()
	r := newR(t, consul.URL())
	r.Register()
	defer r.Deregister()
	consul.Restart()
	if client := consul.Client(); !eventually(2*time.Second, func() bool { return passing(client) }) {
		return "not registered 2 s after Consul came"
	}
	return ""
}

func registersAgain(t *testing.T, newR newRegistrar) string {
	consul := consultest.Start(t)
	client := consul.Client()
	r := newR(t, consul.URL())
	r.Register()
	defer r.Deregister()
	if !eventually(2*time.Second, func() bool { return passing(client) }) {
		return "never registered"
	}
	consul.Restart()
	start := time.Now()
	if !eventually(2*time.Second, func() bool { return passing(client) }) {
		return "not registered again 2 s after Consul restarted"
	}
	t.Logf("registered again %v after Consul answered", time.Since(start).Round(time.Millisecond))
	return ""
}

// killIsNoticed registers in a process of its own, kills that, and waits for the
// instance to leave the healthy ones.
func killIsNoticed(t *testing.T, newR newRegistrar) string {
	which := "kitmesh"
	if _, stock := newR(t, "127.0.0.1:1").(*kitconsul.Registrar); stock {
		which = "stock"
	}
	consul := consultest.Start(t)
	client := consul.Client()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChildRegisters$")
	child.Env = append(os.Environ(), "MESH_TEST_CHILD="+which, "MESH_TEST_CONSUL="+consul.URL())
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if !eventually(10*time.Second, func() bool { return passing(client) }) {
		return "never registered"
	}
	consul.Settle()
	_ = child.Process.Kill()
	start := time.Now()
	noticed := eventually(1100*time.Millisecond, func() bool { return !passing(client) })
	_ = child.Wait() // reports the kill
	if !noticed {
		return "a killed instance is still healthy after 1.1 s"
	}
	t.Logf("noticed %v after kill -9", time.Since(start).Round(time.Millisecond))
	return ""
}

// TestChildRegisters is the process that killIsNoticed kills.
func TestChildRegisters(t *testing.T) {
	which, url := os.Getenv("MESH_TEST_CHILD"), os.Getenv("MESH_TEST_CONSUL")
	switch which {
	case "":
		t.Skip("not a test; the process that killIsNoticed kills")
	case "kitmesh":
		ourRegistrar(t, url).Register()
	case "stock":
		stockRegistrar(t, url).Register()
	default:
		t.Fatalf("unknown child %q", which)
	}
	time.Sleep(time.Minute) // the parent kills it long before
}
