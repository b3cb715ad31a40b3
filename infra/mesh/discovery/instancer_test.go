package discovery_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/kit/sd"
	"github.com/hashicorp/consul/api"
	"go.uber.org/goleak"

	"github.com/kitmesh/kitmesh/infra/mesh/consultest"
	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
	"github.com/kitmesh/kitmesh/infra/mesh/registry"
)

func follow(t *testing.T, client *api.Client, o discovery.Options) *discovery.Instancer {
	t.Helper()
	i := discovery.New(client, "x", o)
	t.Cleanup(i.Stop)
	return i
}

// awaitSet waits until the published ids are want ("a b?": b doubted).
func awaitSet(t *testing.T, i discovery.Source, within time.Duration, want string) *discovery.Snapshot {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	for {
		snap := i.Snapshot()
		if snap.Ready && ids(snap) == want {
			return snap
		}
		select {
		case <-snap.Changed():
		case <-deadline.C:
			t.Fatalf("instances = %q (ready %v), want %q within %v", ids(snap), snap.Ready, want, within)
		}
	}
}

func ids(s *discovery.Snapshot) string {
	var out []string
	for _, i := range s.Instances {
		id := i.ID
		if i.Doubted {
			id += "?"
		}
		out = append(out, id)
	}
	return strings.Join(out, " ")
}

func lastIndex(f *consultest.Fake) uint64 {
	q := f.Queries()
	return q[len(q)-1].Index
}

func awaitTrue(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 5 s", what)
		}
	}
}

func TestReadsEverythingOfAnEntry(t *testing.T) {
	t.Parallel()
	fake := consultest.NewFake(t)
	full := consultest.Entry("a", 80)
	full.Service.Address = "::1"
	full.Service.Weights = api.AgentWeights{Passing: 7, Warning: 2}
	full.Service.Tags = []string{"version=v2"}
	full.Service.Meta = map[string]string{"version": "v2", "zone": "z1", "admin": "http://h:1", "started": "now", "more": "m"}
	bare := consultest.Entry("b", 81)
	bare.Service.Address = "" // the node's counts
	bare.Service.Weights = api.AgentWeights{}
	bare.Node.Address = "fe80::2"
	limping := consultest.WithCheck(consultest.Entry("c", 82), api.HealthWarning, "slow disk")
	limping.Service.Weights = api.AgentWeights{Passing: 7, Warning: 2}
	fake.Set(5, bare, full, limping,
		consultest.WithCheck(consultest.Entry("d", 83), api.HealthCritical, "TTL expired"))

	snap := awaitSet(t, follow(t, fake.Client(), discovery.Options{}), time.Second, "a b c")
	a, b, c := snap.Instances[0], snap.Instances[1], snap.Instances[2]
	if a.Addr != "[::1]:80" || a.Weight != 7 || a.Version != "v2" || a.Zone != "z1" || a.Admin != "http://h:1" ||
		a.Started != "now" || a.Meta["more"] != "m" || !slices.Equal(a.Tags, []string{"version=v2"}) || a.Service != "x" {
		t.Errorf("a = %+v", a)
	}
	if b.Addr != "[fe80::2]:81" || b.Weight != 1 {
		t.Errorf("b = %+v; want the node's address and weight 1", b)
	}
	if !c.Warning || c.Weight != 2 {
		t.Errorf("c = %+v; want warning and its weight 2", c)
	}
	awaitSet(t, follow(t, fake.Client(), discovery.Options{OnlyPassing: true}), time.Second, "a b")
}

// After an error the index means nothing; the set stays.
func TestErrorResetsIndexAndKeepsSet(t *testing.T) {
	t.Parallel()
	fake := consultest.NewFake(t)
	fake.Set(50, consultest.Entry("a", 1), consultest.Entry("b", 2))
	i := follow(t, fake.Client(), discovery.Options{})
	awaitSet(t, i, time.Second, "a b")
	awaitTrue(t, "blocked at 50", func() bool { return lastIndex(fake) == 50 })

	fake.Fail(http.StatusInternalServerError)
	awaitTrue(t, "error shown", func() bool { return i.Err() != nil })
	if got := ids(i.Snapshot()); got != "a b" {
		t.Errorf("set during the failure = %q, want it unchanged", got)
	}
	awaitTrue(t, "asked anew", func() bool { return lastIndex(fake) == 0 })
	fake.Set(3, consultest.Entry("a", 1)) // restarted: a small index, not everybody is back
	awaitSet(t, i, time.Second, "a b?")
	if err := i.Err(); err != nil {
		t.Errorf("Err after the recovery = %v", err)
	}
	fake.Set(4, consultest.Entry("a", 1), consultest.Entry("b", 2))
	awaitSet(t, i, time.Second, "a b")
}

// Consul may restart behind a proxy that hides it: the index goes back.
func TestIndexGoingBackIsAReset(t *testing.T) {
	t.Parallel()
	fake := consultest.NewFake(t)
	fake.Set(50, consultest.Entry("a", 1), consultest.Entry("b", 2), consultest.Entry("c", 3))
	i := follow(t, fake.Client(), discovery.Options{})
	awaitSet(t, i, time.Second, "a b c")
	awaitTrue(t, "blocked at 50", func() bool { return lastIndex(fake) == 50 })
	fake.Set(7, consultest.Entry("a", 1), consultest.Entry("b", 2))
	awaitSet(t, i, time.Second, "a b c?")
	awaitTrue(t, "asked anew", func() bool { return lastIndex(fake) == 0 || lastIndex(fake) == 7 })
}

// Doubt ends without any further news from Consul.
func TestDoubtEnds(t *testing.T) {
	t.Parallel()
	fake := consultest.NewFake(t)
	fake.Set(5, consultest.Entry("a", 1), consultest.Entry("b", 2))
	i := follow(t, fake.Client(), discovery.Options{Grace: 300 * time.Millisecond})
	awaitSet(t, i, time.Second, "a b")
	start := time.Now()
	fake.Set(6)
	awaitSet(t, i, time.Second, "a? b?")
	awaitSet(t, i, 2*time.Second, "")
	if took := time.Since(start); took < 300*time.Millisecond {
		t.Errorf("believed after %v, want not before 300 ms", took)
	}
}

// Every wait has an end, and a server that does not block is not hammered.
func TestQueriesAreBoundedAndPaced(t *testing.T) {
	t.Parallel()
	fake := consultest.NewFake(t)
	fake.Set(0) // index 0: nothing to block on; the fake answers at once as long as it is current
	i := follow(t, fake.Client(), discovery.Options{Wait: time.Millisecond, Filter: "Service.Meta.version == v2"})
	awaitTrue(t, "some queries", func() bool { return len(fake.Queries()) > 25 })
	before := len(fake.Queries())
	time.Sleep(200 * time.Millisecond)
	if n := len(fake.Queries()) - before; n > 40 {
		t.Errorf("%d queries in 200 ms, want at most 100 a second", n)
	}
	i.Stop()
	for n, q := range fake.Queries() {
		if n > 0 && (q.Index == 0 || q.Wait <= 0 || q.Wait > time.Second) {
			t.Fatalf("query %d: index %d, wait %v; want both set", n, q.Index, q.Wait)
		}
		if q.Filter != "Service.Meta.version == v2" {
			t.Fatalf("query %d: filter %q", n, q.Filter)
		}
	}
}

// Before the first answer the set is unknown, which is not empty.
func TestNotReadyBeforeTheFirstAnswer(t *testing.T) {
	t.Parallel()
	fake := consultest.NewFake(t)
	fake.Fail(http.StatusInternalServerError)
	i := follow(t, fake.Client(), discovery.Options{})
	awaitTrue(t, "error shown", func() bool { return i.Snapshot().Err != nil })
	if i.Snapshot().Ready {
		t.Error("ready without an answer")
	}
	events := make(chan sd.Event)
	i.Register(events)
	if e := <-events; e.Err == nil {
		t.Errorf("first event = %+v, want the error", e)
	}
	fake.Set(2)
	if e := <-events; e.Err != nil || len(e.Instances) != 0 {
		t.Errorf("event = %+v, want an empty set", e)
	}
	i.Deregister(events)
	close(events) // as go-kit's endpointer does
	fake.Set(3, consultest.Entry("a", 1))
	awaitSet(t, i, time.Second, "a")
}

// Stop ends the blocked query and every goroutine, and may be repeated.
func TestStop(t *testing.T) {
	fake := consultest.NewFake(t)
	fake.Set(5, consultest.Entry("a", 1))
	before := goleak.IgnoreCurrent()
	i := discovery.New(fake.Client(), "x", discovery.Options{})
	awaitSet(t, i, time.Second, "a")
	unread := make(chan sd.Event)
	i.Register(unread)
	awaitTrue(t, "blocked", func() bool { return lastIndex(fake) == 5 })

	start := time.Now()
	i.Stop()
	i.Stop()
	if took := time.Since(start); took > time.Second {
		t.Errorf("Stop took %v", took)
	}
	i.Deregister(unread)
	i.Register(unread) // nothing happens any more
	if got := ids(i.Snapshot()); got != "a" {
		t.Errorf("last set = %q, want it readable", got)
	}
	fake.CloseConnections()
	goleak.VerifyNone(t, before)
}

// The life of a real Consul: dead, empty, frozen. The set never shrinks by it.
func TestSetSurvivesConsul(t *testing.T) {
	t.Parallel()
	consul := consultest.Start(t)
	client := consul.Client()
	beat := func() {
		for n, id := range []string{"a", "b", "c"} {
			reg := &api.AgentServiceRegistration{
				ID: id, Name: "x", Address: "127.0.0.1", Port: 1 + n,
				Check: &api.AgentServiceCheck{CheckID: id, TTL: "400ms", Status: api.HealthPassing},
			}
			if err := client.Agent().ServiceRegisterOpts(reg, api.ServiceRegisterOpts{}.WithContext(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
	}
	beat()
	i := follow(t, client, discovery.Options{})
	awaitSet(t, i, 5*time.Second, "a b c")

	awaitSet(t, i, 5*time.Second, "a? b? c?") // nobody beats: all TTLs lapse
	beat()
	for _, id := range []string{"a", "b", "c"} {
		if err := client.Agent().UpdateTTL(id, "", api.HealthPassing); err != nil {
			t.Fatal(err)
		}
	}
	awaitSet(t, i, 5*time.Second, "a b c")

	consul.Kill()
	awaitTrue(t, "failure seen", func() bool { return i.Err() != nil })
	consul.Restart()
	awaitTrue(t, "answer seen", func() bool { return i.Err() == nil })
	awaitSet(t, i, 5*time.Second, "a? b? c?")
	beat()
	awaitSet(t, i, 5*time.Second, "a b c")

	// A departure is believed at once, even of the majority.
	for _, id := range []string{"a", "b"} {
		if err := client.Agent().UpdateTTL(id, registry.Draining+": bye", api.HealthCritical); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.Agent().UpdateTTL("c", "", api.HealthPassing); err != nil {
		t.Fatal(err)
	}
	snap := i.Snapshot()
	for strings.Contains(ids(snap), "a") || strings.Contains(ids(snap), "b") {
		select {
		case <-snap.Changed():
			snap = i.Snapshot()
		case <-time.After(5 * time.Second):
			t.Fatalf("set = %q, want a and b gone", ids(snap))
		}
	}
}
