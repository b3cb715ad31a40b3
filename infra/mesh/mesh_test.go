package mesh_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	mesh "github.com/kitmesh/kitmesh/infra/mesh"
	"github.com/kitmesh/kitmesh/infra/mesh/consultest"
	"github.com/kitmesh/kitmesh/infra/mesh/internal/servertest"
	"github.com/kitmesh/kitmesh/infra/mesh/registry"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
)

// instance is one registered server that can be killed and started again at the
// same address.
type instance struct {
	*servertest.Server
	stop func() // ends the beats and deregisters
}

func start(t *testing.T, consul *consultest.Consul, id, addr string) instance {
	t.Helper()
	return startAs(t, consul, "x", id, addr)
}

func startAs(t *testing.T, consul *consultest.Consul, service, id, addr string) instance {
	t.Helper()
	s := servertest.Serve(t, addr)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	r := registry.New(consul.Client(), registry.Registration{Service: service, ID: id, Addr: s.Addr, Version: "v1", Zone: "local"}, nil, nil)
	go func() {
		defer close(done)
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop := sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(stop)
	return instance{s, stop}
}

// load calls at a steady rate until the returned function, which tells how many
// calls there were and how they failed.
func load(e endpoint.Endpoint, every time.Duration) (end func() (calls int, failures []error)) {
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		failures []error
		calls    int
	)
	quit := make(chan struct{})
	wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			calls++
			wg.Go(func() {
				// Far more than a call needs: what is asked is whether it fails.
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				defer cancel()
				if _, err := e(ctx, nil); err != nil {
					mu.Lock()
					defer mu.Unlock()
					failures = append(failures, err)
				}
			})
		}
	})
	return func() (int, []error) {
		close(quit)
		wg.Wait()
		return calls, failures
	}
}

// The promise of the mesh, in small: instances die, return and leave, Consul
// dies, comes back empty and freezes, and no call fails.
func TestNoCallFails(t *testing.T) {
	consul := consultest.Start(t)
	registerer := prometheus.NewRegistry()
	m := mesh.New(mesh.Options{
		Consul: consul.Client(),
		Target: target.Options{Metrics: target.NewMetrics(registerer)},
	})
	defer m.Close()
	var fleet [3]instance
	for n := range fleet {
		fleet[n] = start(t, consul, fmt.Sprint("x-", n), "127.0.0.1:0")
	}
	x := m.Target("x")
	if m.Target("x") != x {
		t.Error("a second target of the same service")
	}
	e := x.Endpoint("x.M", servertest.Dial)
	if !eventually(5*time.Second, func() bool { return len(x.Report().Members) == 3 }) {
		t.Fatalf("found %+v", x.Report())
	}
	end := load(e, 4*time.Millisecond)

	for n := range 6 { // crash: the beats of the dead go on here, so only callers notice
		addr := fleet[n%3].Addr
		fleet[n%3].Stop()
		time.Sleep(200 * time.Millisecond)
		fleet[n%3].Server = servertest.Serve(t, addr)
		time.Sleep(200 * time.Millisecond)
	}
	for n := range fleet { // rolling restart at new addresses
		fleet[n].stop()
		fleet[n].Stop()
		fleet[n] = start(t, consul, fmt.Sprint("x-", n), "127.0.0.1:0")
		time.Sleep(200 * time.Millisecond)
	}
	consul.Kill()
	time.Sleep(time.Second)
	consul.Restart()
	time.Sleep(500 * time.Millisecond)
	consul.Pause()
	time.Sleep(1500 * time.Millisecond)
	consul.Resume()
	time.Sleep(time.Second)

	calls, failures := end()
	t.Logf("%d calls, %d retries", calls, x.Report().Retries)
	if len(failures) > 0 {
		t.Errorf("%d of %d calls failed, the first: %v", len(failures), calls, failures[0])
	}
	if n := testutil.ToFloat64(gauge(t, registerer)); n != 3 {
		t.Errorf("kitmesh_target_instances = %v, want 3", n)
	}
}

// gauge reads kitmesh_target_instances back from the registry.
func gauge(t *testing.T, r *prometheus.Registry) prometheus.Gauge {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "read"})
	for _, f := range families {
		if f.GetName() == "kitmesh_target_instances" {
			g.Set(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	return g
}

// The whole service leaves in order: callers believe it at once.
func TestScaleToZeroIsBelieved(t *testing.T) {
	t.Parallel()
	consul := consultest.Start(t)
	m := mesh.New(mesh.Options{Consul: consul.Client()})
	defer m.Close()
	fleet := []instance{start(t, consul, "x-1", "127.0.0.1:0"), start(t, consul, "x-2", "127.0.0.1:0")}
	x := m.Target("x")
	if !eventually(5*time.Second, func() bool { return len(x.Report().Members) == 2 }) {
		t.Fatalf("found %+v", x.Report())
	}
	consul.Settle()
	for _, i := range fleet {
		i.stop()
	}
	if !eventually(time.Second, func() bool { return len(x.Report().Members) == 0 }) {
		t.Errorf("still there: %+v", x.Report().Members)
	}
}

// Nothing is left of a Mesh after Close: no watch, connection or goroutine.
func TestCloseLeavesNothing(t *testing.T) {
	fake, s := consultest.NewFake(t), servertest.Serve(t, "127.0.0.1:0")
	fake.Set(2, consultest.Entry("x-1", port(s)))
	before := goleak.IgnoreCurrent()
	m := mesh.New(mesh.Options{Consul: fake.Client()})
	for n := range 3 {
		e := m.Target("x").Endpoint(fmt.Sprint("x.M", n), servertest.Dial)
		if !eventually(5*time.Second, func() bool { return reached(t, e) }) {
			t.Fatal("not reached")
		}
	}
	m.Target("y")
	// A connection that is being dialled when its query ends goes to the pool of
	// the client, which outlives the Mesh.
	if !eventually(5*time.Second, func() bool { return fake.Blocked() == 2 }) {
		t.Fatal("the watches do not block")
	}
	if n := fake.Watches(); n != 2 {
		t.Errorf("%d watches for 2 services, want 2 whatever the number of methods", n)
	}
	for range 2 {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	s.Stop()
	fake.CloseConnections()
	goleak.VerifyNone(t, before)
}

func TestMeshPage(t *testing.T) {
	t.Parallel()
	fake := consultest.NewFake(t)
	s := servertest.Serve(t, "127.0.0.1:0")
	fake.Set(2, consultest.Entry("x-1", port(s)))
	m := mesh.New(mesh.Options{Consul: fake.Client()})
	defer m.Close()
	e := m.Target("x").Endpoint("x.M", servertest.Dial)
	if !eventually(5*time.Second, func() bool { return reached(t, e) }) {
		t.Fatal("not reached")
	}
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/mesh", nil))
	var page struct{ Targets []target.Report }
	if err := json.Unmarshal(answer.Body.Bytes(), &page); err != nil {
		t.Fatalf("%v in %s", err, answer.Body)
	}
	if len(page.Targets) != 1 || len(page.Targets[0].Members) != 1 {
		t.Fatalf("page = %s", answer.Body)
	}
	member := page.Targets[0].Members[0]
	if member.ID != "x-1" || member.State != "ready" || member.Breaker != "closed" || member.Picks == 0 || member.Failures != 0 || member.InFlight != 0 {
		t.Errorf("member = %+v", member)
	}
}

// Every counter of the contract moves when its event happens.
func TestMetrics(t *testing.T) {
	t.Parallel()
	fake := consultest.NewFake(t)
	fake.Set(2, consultest.Entry("x-1", 1), consultest.Entry("x-2", 2))
	registerer := prometheus.NewRegistry()
	m := mesh.New(mesh.Options{
		Consul: fake.Client(), Target: target.Options{Metrics: target.NewMetrics(registerer)},
		Each: func(_ string, o *target.Options) { o.Retry.Max = 2 },
	})
	defer m.Close()
	var tries atomic.Int32
	for range 20 {
		_ = m.Target("x").Do(t.Context(), target.Call{Method: "x.M", Idempotent: true}, func(context.Context, *target.Member) error {
			tries.Add(1)
			return errors.New("down")
		})
	}
	for _, name := range []string{
		"kitmesh_client_retries_total", "kitmesh_breaker_transitions_total", "kitmesh_ejections_total", "kitmesh_target_instances",
	} {
		families, err := registerer.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var sum float64
		for _, f := range families {
			for _, metric := range f.GetMetric() {
				if f.GetName() == name {
					sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
				}
			}
		}
		if sum == 0 {
			t.Errorf("%s did not move", name)
		}
	}
}

// What the example says is true: its service is found and its call answered.
func TestExample(t *testing.T) {
	consul := consultest.Start(t)
	catalog := start(t, consul, "x-1", "127.0.0.1:0")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	watched := make(chan struct{})
	gate := make(chan struct{})
	catalog.Hold(gate) // the call is answered when the caller was found
	go func() {
		defer close(watched)
		defer close(gate)
		if !eventually(5*time.Second, func() bool {
			found, _, err := consul.Client().Health().Service("mine", "", true, nil)
			return err == nil && len(found) == 1
		}) {
			t.Error("the example's service is not in Consul")
		}
	}()
	for {
		err := joinAndCall(ctx, consul.URL(), "x")
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	<-watched
}
