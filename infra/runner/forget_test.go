package runner

import (
	"slices"
	"syscall"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/kitmesh/kitmesh/infra/mesh/consultest"
)

// A killed instance leaves its entry in Consul. The supervisor takes out just
// that one before it starts the successor, and a Consul that does not answer
// holds up nothing.
func TestEntryOfAKilledInstanceIsForgotten(t *testing.T) {
	consul := consultest.Start(t)
	client := consul.Client()
	for _, id := range []string{"catalog-1", "catalog-2"} { // without a check they stay for ever
		if err := client.Agent().ServiceRegister(&api.AgentServiceRegistration{ID: id, Name: "catalog"}); err != nil {
			t.Fatal(err)
		}
	}
	known := func() []string {
		all, err := client.Agent().Services()
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for id := range all {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		return ids
	}

	p := &plan{ports: &ports{}, state: State{Consul: consul.URL()}}
	sp, err := p.instance("catalog", 1)
	if err != nil {
		t.Fatal(err)
	}
	role := standIn(sp.name, "serve") // which registers nothing
	sp.path, sp.args, sp.env = role.path, role.args, role.env
	s := testSupervisor(t)
	mustStart(t, s, sp)
	kill := func() {
		first := runningPID(t, s, sp.name)
		if err := first.signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a successor runs", func() bool {
			r, err := loadRecord(s.dirs)
			if err != nil {
				return false
			}
			successor, err := r.find(sp.name)
			return err == nil && successor.pid != first.pid && successor.alive()
		})
	}

	runningPID(t, s, sp.name)
	if ids := known(); !slices.Equal(ids, []string{"catalog-1", "catalog-2"}) {
		t.Errorf("after the first start Consul knows %v, want both", ids)
	}
	kill()
	if ids := known(); !slices.Equal(ids, []string{"catalog-2"}) {
		t.Errorf("with the successor Consul knows %v, want catalog-2 only", ids)
	}
	consul.Pause()
	kill()
}
