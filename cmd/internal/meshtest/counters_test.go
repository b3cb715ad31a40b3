package meshtest

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/kitmesh/kitmesh/infra/mesh/target"
)

// counters are what all callers of one service counted so far.
type counters struct {
	requests, retries, hedges float64
	picks                     map[string]float64 // by the address of the instance
}

// counters asks every instance but those of the service itself: a paused one
// does not answer, and none of the services we hurt calls itself.
func (m *mesh) counters(service string) counters {
	m.t.Helper()
	c := counters{picks: map[string]float64{}}
	instances := m.status().Instances
	metrics, picks := make([]string, len(instances)), make([]map[string]float64, len(instances))
	var g errgroup.Group
	for n, i := range instances {
		if i.Service == service {
			continue
		}
		g.Go(func() (err error) {
			if metrics[n], err = m.text(i.Admin + "/metrics"); err != nil {
				return err
			}
			picks[n], err = m.picks(i.Admin+"/mesh", service)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		m.t.Fatal(err)
	}
	for n := range instances {
		c.requests += total(metrics[n], "kitmesh_client_requests_total", service)
		c.retries += total(metrics[n], "kitmesh_client_retries_total", service)
		c.hedges += total(metrics[n], "kitmesh_client_hedges_total", service)
		for addr, n := range picks[n] {
			c.picks[addr] += n
		}
	}
	return c
}

func (m *mesh) text(url string) (string, error) {
	req, err := http.NewRequestWithContext(m.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return string(text), err
}

// picks reads from /mesh how often each instance of a service was picked.
func (m *mesh) picks(url, service string) (map[string]float64, error) {
	reports, err := m.known(url, service)
	picks := map[string]float64{}
	for _, t := range reports {
		for _, m := range t.Members {
			picks[m.Addr] += float64(m.Picks)
		}
	}
	return picks, err
}

// known reads what the instance whose /mesh is at url knows of a service.
func (m *mesh) known(url, service string) ([]target.Report, error) {
	var page struct{ Targets []target.Report }
	_, err := tryGet(m.t.Context(), url, &page)
	return slices.DeleteFunc(page.Targets, func(r target.Report) bool { return r.Service != service }), err
}

// knownTo returns what the first instance of caller knows of a service.
func (m *mesh) knownTo(caller, service string) target.Report {
	m.t.Helper()
	for _, i := range m.status().Instances {
		if i.Service == caller {
			reports, err := m.known(i.Admin+"/mesh", service)
			if err != nil || len(reports) != 1 {
				m.t.Fatalf("%s knows %d targets called %s: %v", i.ID, len(reports), service, err)
			}
			return reports[0]
		}
	}
	m.t.Fatalf("there is no %s", caller)
	return target.Report{}
}

// total adds up a counter of /metrics over all labels but its target.
func total(metrics, name, target string) (sum float64) {
	for line := range strings.Lines(metrics) {
		labels, value, ok := strings.Cut(strings.TrimSpace(line), "} ")
		if !ok || !strings.HasPrefix(labels, name+"{") || !strings.Contains(labels, fmt.Sprintf("target=%q", target)) {
			continue
		}
		if x, err := strconv.ParseFloat(value, 64); err == nil {
			sum += x
		}
	}
	return sum
}

// tries returns the tries per call since before, and the hedges among them.
func (c counters) tries(before counters) (tries, hedges float64) {
	calls := c.requests - before.requests
	if calls == 0 {
		return 0, 0
	}
	hedges = (c.hedges - before.hedges) / calls
	return 1 + (c.retries-before.retries)/calls + hedges, hedges
}

// share returns the part of the tries since before that went to addr.
func (c counters) share(before counters, addr string) float64 {
	all := 0.0
	for a, n := range c.picks {
		all += n - before.picks[a]
	}
	if all == 0 {
		return 1 // nobody was asked: nothing is shown
	}
	return (c.picks[addr] - before.picks[addr]) / all
}

func TestCounters(t *testing.T) {
	const metrics = `# HELP kitmesh_client_requests_total Calls made.
kitmesh_client_requests_total{code="ok",method="pricing.Quote",target="pricing"} 90
kitmesh_client_requests_total{code="unavailable",method="pricing.Quote",target="pricing"} 1e+01
kitmesh_client_requests_total{code="ok",method="catalog.Get",target="catalog"} 7
kitmesh_client_requests_total_more{target="pricing"} 5
`
	if got := total(metrics, "kitmesh_client_requests_total", "pricing"); got != 100 {
		t.Errorf("%v requests, want 100", got)
	}
	before := counters{requests: 10, retries: 1, hedges: 1, picks: map[string]float64{"a": 5, "b": 5}}
	after := counters{requests: 110, retries: 3, hedges: 2, picks: maps.Clone(before.picks)}
	after.picks["b"] += 30
	after.picks["c"] += 10
	if tries, hedges := after.tries(before); tries != 1.03 || hedges != 0.01 {
		t.Errorf("%v tries, %v of them hedges; want 1.03 and 0.01", tries, hedges)
	}
	if got := after.share(before, "c"); got != 0.25 {
		t.Errorf("share %v, want 0.25", got)
	}
	if got := after.share(after, "c"); got != 1 {
		t.Errorf("share %v of nothing: it must not look good", got)
	}
}
