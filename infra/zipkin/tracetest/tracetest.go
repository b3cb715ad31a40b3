// Package tracetest says, for the tests of whole meshes, what Zipkin has to know
// of the shop wherever it runs.
package tracetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/kitmesh/kitmesh/infra/zipkin/traceview"
)

// patience bounds one question to Zipkin.
const patience = 5 * time.Second

// services take part in every order.
var services = []string{"edge", "gateway", "orders", "pricing", "inventory", "payments", "shipping"}

// links are the edges of the dependency graph once pages were seen and orders
// were placed, the broker's and the provider's included.
var links = []string{
	"edge → gateway", "gateway → catalog", "gateway → pricing", "gateway → inventory", "gateway → shipping", "gateway → orders",
	"orders → pricing", "orders → inventory", "orders → payments", "orders → shipping", "shipping → pricing",
	"payments → provider", "orders → nats", "inventory → nats", "payments → nats", "shipping → nats", "nats → shipping",
}

// Order reports what the trace of an order lacks at the Zipkin with that URL: a
// service, its one root, a span's parent, a try's number.
func Order(ctx context.Context, zipkin, id string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, spans, err := traceview.Get(ctx, zipkin, id)
	if err != nil {
		return err
	}
	seen, ids, roots := map[string]bool{}, map[string]bool{}, 0
	for _, s := range spans {
		seen[s.Local.Service] = true
		ids[s.ID] = true
		if s.ParentID == "" {
			roots++
		}
	}
	if missing := without(services, seen); len(missing) > 0 {
		return fmt.Errorf("no span of %s; there are %s", strings.Join(missing, ", "), slices.Sorted(maps.Keys(seen)))
	}
	if roots != 1 {
		return fmt.Errorf("%d roots", roots)
	}
	for _, s := range spans {
		if s.ParentID != "" && !ids[s.ParentID] {
			return fmt.Errorf("the parent %s of %s %s is missing", s.ParentID, s.Local.Service, s.Name)
		}
		if s.Kind == "CLIENT" && s.Local.Service != "edge" && s.Tags["try"] == "" {
			return fmt.Errorf("%s %s does not say which try it was", s.Local.Service, s.Name)
		}
	}
	return nil
}

// Graph reports the edges that the dependency graph of the last hour lacks at
// the Zipkin with that URL.
func Graph(ctx context.Context, zipkin string) error {
	url := fmt.Sprintf("%s/api/v2/dependencies?endTs=%d&lookback=%d", zipkin, time.Now().UnixMilli(), time.Hour.Milliseconds())
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var found []struct{ Parent, Child string }
	if err := json.NewDecoder(resp.Body).Decode(&found); err != nil {
		return fmt.Errorf("%s answers %s: %w", url, resp.Status, err)
	}
	has := map[string]bool{}
	for _, l := range found {
		has[l.Parent+" → "+l.Child] = true
	}
	for _, missing := range without(links, has) {
		err = errors.Join(err, fmt.Errorf("no edge %s", missing))
	}
	return err
}

func without(all []string, seen map[string]bool) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return seen[s] })
}
