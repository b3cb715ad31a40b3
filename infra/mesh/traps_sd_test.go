package mesh_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/kit/sd"
	kitconsul "github.com/go-kit/kit/sd/consul"
	"github.com/go-kit/log"
	"github.com/hashicorp/consul/api"

	"github.com/kitmesh/kitmesh/infra/mesh/consultest"
	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
)

// newInstancer makes an instancer of service "x" at a Consul.
type newInstancer func(t *testing.T, url string) sd.Instancer

func ourInstancer(t *testing.T, url string) sd.Instancer {
	return discovery.New(meshClient(t, url), "x", discovery.Options{})
}

func stockInstancer(t *testing.T, url string) sd.Instancer {
	return kitconsul.NewInstancer(kitconsul.NewClient(stockClient(t, url)), log.NewNopLogger(), "x", nil, true)
}

func TestTrapsOfInstancers(t *testing.T) {
	for name, body := range map[string]func(*testing.T, newInstancer) string{
		"an error resets the index":       errorResetsIndex,
		"queries have an end":             queriesHaveAnEnd,
		"an empty answer after an error":  emptyAnswerIsDoubted,
		"most vanish at once":             massDisappearanceIsDoubted,
		"a frozen Consul blocks nobody":   frozenBlocksNobody,
		"Stop ends the blocked query":     stopEndsQuery,
		"Stop twice":                      stopTwice,
		"IPv6":                            ipv6,
		"metadata, weights and tags":      metadata,
		"a slow subscriber stalls nobody": slowSubscriber,
	} {
		trap[newInstancer]{name, body, ourInstancer, stockInstancer}.run(t)
	}
}

// A restarted Consul counts from the beginning: with the old index the query
// would sleep until its wait ends (302 s in stock go-kit) whatever happens.
func errorResetsIndex(t *testing.T, newI newInstancer) string {
	fake := consultest.NewFake(t)
	fake.Set(50, consultest.Entry("a", 1))
	i := newI(t, fake.URL())
	defer i.Stop()
	if !eventually(2*time.Second, func() bool { return fake.Blocked() == 1 }) {
		return "no blocked query"
	}
	fake.Fail(http.StatusInternalServerError)
	before := len(fake.Queries())
	if !eventually(5*time.Second, func() bool { return len(fake.Queries()) > before }) {
		return "no query after the error"
	}
	if q := fake.Queries()[before]; q.Index != 0 {
		return fmt.Sprintf("asked with the old index %d after an error", q.Index)
	}
	return ""
}

func queriesHaveAnEnd(t *testing.T, newI newInstancer) string {
	fake := consultest.NewFake(t)
	i := newI(t, fake.URL())
	defer i.Stop()
	if !eventually(2*time.Second, func() bool { return fake.Blocked() == 1 }) {
		return "no blocked query"
	}
	queries := fake.Queries()
	if q := queries[len(queries)-1]; q.Wait <= 0 || q.Wait > time.Minute {
		return fmt.Sprintf("a query blocks for %v (0: Consul's 5 min)", q.Wait)
	}
	return ""
}

// collect follows the events and returns a function that tells the newest.
func collect(t *testing.T, i sd.Instancer) (latest func() []string) {
	events := make(chan sd.Event)
	newest := make(chan []string, 1)
	newest <- nil
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e := range events {
			if e.Err == nil {
				<-newest
				newest <- slices.Clone(e.Instances)
			}
		}
	}()
	i.Register(events)
	t.Cleanup(func() {
		i.Deregister(events)
		close(events)
		<-done
	})
	return func() []string {
		v := <-newest
		newest <- v
		return v
	}
}

// staysAt changes the fake and reports when the three instances do not stay.
func staysAt(t *testing.T, newI newInstancer, change func(*consultest.Fake)) string {
	fake := consultest.NewFake(t)
	fake.Set(50, consultest.Entry("a", 1), consultest.Entry("b", 2), consultest.Entry("c", 3))
	i := newI(t, fake.URL())
	defer i.Stop()
	latest := collect(t, i)
	if !eventually(2*time.Second, func() bool { return len(latest()) == 3 }) {
		return "the three instances were not found"
	}
	if !eventually(2*time.Second, func() bool { return fake.Blocked() == 1 }) {
		return "no blocked query"
	}
	change(fake)
	if eventually(500*time.Millisecond, func() bool { return len(latest()) != 3 }) {
		return fmt.Sprintf("3 instances became %d", len(latest()))
	}
	return ""
}

// The restarted Consul's index is above the old one here: that is when stock
// go-kit takes the empty answer.
func emptyAnswerIsDoubted(t *testing.T, newI newInstancer) string {
	return staysAt(t, newI, func(f *consultest.Fake) {
		f.Fail(http.StatusInternalServerError)
		n := len(f.Queries())
		eventually(time.Second, func() bool { return len(f.Queries()) > n })
		f.Set(60)
	})
}

func massDisappearanceIsDoubted(t *testing.T, newI newInstancer) string {
	return staysAt(t, newI, func(f *consultest.Fake) {
		f.Set(51,
			consultest.Entry("a", 1),
			consultest.WithCheck(consultest.Entry("b", 2), api.HealthCritical, "TTL expired"),
			consultest.WithCheck(consultest.Entry("c", 3), api.HealthCritical, "TTL expired"))
	})
}

func frozenBlocksNobody(t *testing.T, newI newInstancer) string {
	url := frozen(t)
	var i sd.Instancer
	if !inTime(time.Second, func() { i = newI(t, url) }) {
		return "the constructor hangs on a frozen Consul"
	}
	if !inTime(time.Second, i.Stop) {
		return "Stop hangs on a frozen Consul"
	}
	return ""
}

func stopEndsQuery(t *testing.T, newI newInstancer) string {
	fake := consultest.NewFake(t)
	i := newI(t, fake.URL())
	if !eventually(2*time.Second, func() bool { return fake.Blocked() == 1 }) {
		return "no blocked query"
	}
	i.Stop()
	if !eventually(time.Second, func() bool { return fake.Blocked() == 0 }) {
		return "the query goes on after Stop"
	}
	return ""
}

func stopTwice(t *testing.T, newI newInstancer) string {
	i := newI(t, consultest.NewFake(t).URL())
	i.Stop()
	return panics(i.Stop)
}

func ipv6(t *testing.T, newI newInstancer) string {
	fake := consultest.NewFake(t)
	entry := consultest.Entry("a", 80)
	entry.Service.Address = "::1"
	fake.Set(2, entry)
	i := newI(t, fake.URL())
	defer i.Stop()
	latest := collect(t, i)
	if !eventually(2*time.Second, func() bool { return slices.Equal(latest(), []string{"[::1]:80"}) }) {
		return fmt.Sprintf("address %v, want [::1]:80", latest())
	}
	return ""
}

func metadata(t *testing.T, newI newInstancer) string {
	fake := consultest.NewFake(t)
	entry := consultest.Entry("a", 80)
	entry.Service.Weights.Passing = 7
	entry.Service.Meta = map[string]string{"zone": "z1"}
	entry.Service.Tags = []string{"blue"}
	fake.Set(2, entry)
	i := newI(t, fake.URL())
	defer i.Stop()
	typed, ok := i.(discovery.Source)
	if !ok {
		return "nothing but addresses can be read"
	}
	var got []discovery.Instance
	if !eventually(2*time.Second, func() bool { got = typed.Snapshot().Instances; return len(got) == 1 }) {
		return "no instance"
	}
	if got[0].Weight != 7 || got[0].Zone != "z1" || strings.Join(got[0].Tags, "") != "blue" {
		return fmt.Sprintf("read %+v", got[0])
	}
	return ""
}

func slowSubscriber(t *testing.T, newI newInstancer) string {
	fake := consultest.NewFake(t)
	fake.Set(2, consultest.Entry("a", 1))
	i := newI(t, fake.URL())
	defer i.Stop()
	unread := make(chan sd.Event)
	go i.Register(unread)
	t.Cleanup(func() { inTime(time.Second, func() { <-unread }) }) // lets a stalled cache go
	time.Sleep(20 * time.Millisecond)                              // Register is under way; nothing tells
	quick := make(chan sd.Event, 4)
	if !inTime(500*time.Millisecond, func() { i.Register(quick) }) {
		return "one subscriber that does not read stalls all others"
	}
	if !inTime(time.Second, func() { <-quick }) {
		return "the other subscriber gets nothing"
	}
	return ""
}
