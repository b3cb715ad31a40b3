package main

import (
	"slices"
	"testing"

	"github.com/kitmesh/kitmesh/infra/runner"
)

func TestPick(t *testing.T) {
	local := runner.State{
		Instances: []runner.Instance{
			{Service: "catalog", ID: "catalog-1", Status: "running", Restarts: 3},
			{Service: "catalog", ID: "catalog-2", Status: "running", Restarts: 1},
			{Service: "catalog", ID: "catalog-3", Status: "restarting"},
			{Service: "orders", ID: "orders-1", Status: "paused"},
		},
		Parts: []runner.Part{{Name: "consul"}},
	}
	compose := runner.State{Instances: []runner.Instance{
		{Service: "catalog", ID: "catalog-1f00aa00aa00", Container: "kitmesh-catalog-2", Status: "running"},
		{Service: "catalog", ID: "catalog-200000000000", Container: "kitmesh-catalog-1", Status: "stopped"},
	}}
	for _, c := range []struct {
		name  string
		state runner.State
		arg   string
		want  []string // nil: an error
	}{
		{"the running one restarted least", local, "catalog", []string{"catalog-2"}},
		{"by number", local, "catalog/3", []string{"catalog-3"}},
		{"by id", local, "catalog-1", []string{"catalog-1"}},
		{"all that run", local, "catalog/all", []string{"catalog-1", "catalog-2"}},
		{"a part", local, "consul", []string{"consul"}},
		{"none runs", local, "orders", nil},
		{"no such number", local, "orders/2", nil},
		{"not in this mesh", local, "pricing", nil},
		{"a part that is not there", local, "zipkin", nil},
		{"container by number", compose, "catalog/1", []string{"catalog-200000000000"}},
		{"container by its compose name", compose, "catalog-2", []string{"catalog-1f00aa00aa00"}},
		{"container by id", compose, "catalog-1f00aa00aa00", []string{"catalog-1f00aa00aa00"}},
		{"the running container", compose, "catalog", []string{"catalog-1f00aa00aa00"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := pick(c.state, c.arg, nil)
			if !slices.Equal(got, c.want) || (err == nil) != (c.want != nil) {
				t.Errorf("pick(%q) = %v, %v; want %v", c.arg, got, err, c.want)
			}
		})
	}
	got, err := pick(local, "orders", isPaused)
	if err != nil || !slices.Equal(got, []string{"orders-1"}) {
		t.Errorf("the paused one: %v, %v", got, err)
	}
}

func TestCheckTarget(t *testing.T) {
	for arg, ok := range map[string]bool{
		"catalog": true, "catalog/2": true, "catalog-2": true, "catalog/all": true, "catalog-0a1b2c3d4e5f": true, "consul": true,
		"": false, "/": false, "catalog/": false, "catalog/0": false, "catalog/-1": false, "catalog/x": false,
		"catalogue": false, "consul/1": false, "-1": false, "/1": false,
	} {
		if err := checkTarget(arg); (err == nil) != ok || err != nil && !isUsage(err) {
			t.Errorf("checkTarget(%q) = %v, want ok: %v", arg, err, ok)
		}
	}
}
