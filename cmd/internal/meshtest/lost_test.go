package meshtest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/infra/runner"
)

const (
	lostRate    = 175 // requests per second, a fifth of them for an order, a tenth of those with a key again
	lostPauses  = 4 * time.Second
	lostPaused  = 3 * time.Second
	lostGrace   = 30 * time.Second // for what was under way to end
	lostShortly = 10 * time.Second // where make test asks
)

// TestNothingLost kills something every second while customers order: any
// instance of any service, the broker, the provider; and freezes others for three
// seconds. Then the audit compares what customers were told with the journals,
// the stock and the provider's ledger. It does so twice, the second time with a
// provider that declines and loses replies.
//
// make test does it for a moment. KITMESH_TEST_LOST says how long, make test-lost
// asks for five and a half minutes and ten thousand orders each.
func TestNothingLost(t *testing.T) {
	duration, load, wantOrders := lostShortly, 30, 20
	if text := os.Getenv("KITMESH_TEST_LOST"); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil {
			t.Fatalf("KITMESH_TEST_LOST=%q: %v", text, err)
		}
		load, wantOrders = lostRate, int(duration.Seconds()*lostRate/5*.87) // 10,048 in 5.5 min
	}
	for _, provider := range []struct {
		name string
		args []string
	}{
		{"sound", nil},
		{"flaky", []string{"--provider", "decline-rate=0.05,lose-reply-rate=0.05"}},
	} {
		t.Run(provider.name, func(t *testing.T) {
			m := up(t, "lost-"+provider.name, append([]string{"--rate", "0"}, provider.args...)...)
			eventually(t, 30*time.Second, "everybody is there", func() error { return m.allPassing(3) })
			history := filepath.Join(t.TempDir(), "history.jsonl")
			var r loadResult
			m.havoc(func() {
				out := m.run("load", "--rate", fmt.Sprint(load), "--duration", duration.String(), "--history", history,
					"--browse-deadline", "3s", "--checkout-deadline", "8s", "-o", "json")
				if err := json.Unmarshal(out, &r); err != nil {
					t.Fatalf("load -o json: %v\n%s", err, out)
				}
			})
			t.Logf("%d requests, %.4f %% success, failures %v, %.3f tries each, p50 %.1f ms, p99 %.1f ms, max %.0f ms",
				r.Requests, 100*r.Success, r.Failures, r.Tries, r.P50, r.P99, r.Max)
			m.audit(history, wantOrders)
		})
	}
}

// audit fails unless the audit of at least orders orders finds nothing.
func (m *mesh) audit(history string, orders int) {
	m.t.Helper()
	began := time.Now()
	out, err := m.try("audit", "--history", history, "-o", "json", "--patience", lostGrace.String())
	var report struct {
		Violations int `json:"violations"`
		Orders     int `json:"orders"`
	}
	if e := json.Unmarshal(out, &report); e != nil {
		m.t.Fatalf("audit -o json: %v: %v\n%s", e, err, out)
	}
	if err != nil || report.Violations > 0 {
		m.t.Errorf("%d violations: %v\n%s", report.Violations, err, out)
	}
	if report.Orders < orders {
		m.t.Errorf("%d orders audited, want at least %d", report.Orders, orders)
	}
	m.t.Logf("%d orders audited in %v, %d violations", report.Orders, time.Since(began).Round(100*time.Millisecond), report.Violations)
}

// havoc kills and freezes until meanwhile returns; then everybody thaws.
func (m *mesh) havoc(meanwhile func()) {
	m.t.Helper()
	ctx, over := context.WithCancel(m.t.Context())
	var wg sync.WaitGroup
	kills, pauses := 0, 0
	frozen := &freezer{mesh: m}
	wg.Go(func() {
		every(ctx, time.Second, func() {
			if victim := frozen.victim(); victim != "" {
				if m.hurt("kill", victim) {
					kills++
				}
			}
		})
	})
	wg.Go(func() {
		every(ctx, lostPauses, func() {
			if frozen.freeze(ctx) {
				pauses++
			}
		})
	})
	meanwhile()
	over()
	wg.Wait()
	m.t.Logf("%d killed, %d frozen for %v", kills, pauses, lostPaused)
	if kills == 0 || pauses == 0 {
		m.t.Error("nobody was killed, or nobody was frozen")
	}
}

// hurt kills or pauses somebody, and reports false when the victim is down already:
// killer and freezer do not know of each other's last blow.
func (m *mesh) hurt(how, victim string) bool {
	_, err := m.try(how, victim)
	if err != nil && !strings.Contains(err.Error(), "does not run") {
		m.t.Error(err)
	}
	return err == nil
}

// freezer keeps killer and freezer off the same service: never all of its
// instances are gone.
type freezer struct {
	mesh *mesh

	mu      sync.Mutex
	service string // that has a frozen instance
}

// victim chooses what to kill next: an instance of a service that has none
// frozen, or the broker, or the provider.
func (f *freezer) victim() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := append([]string{"broker", "provider"}, runner.Services...)
	v := all[rand.IntN(len(all))]
	switch {
	case v == f.service:
		return ""
	case v == "broker" || v == "provider":
		return v
	}
	return fmt.Sprintf("%s/%d", v, 1+rand.IntN(3))
}

// freeze stops one instance for a while, and reports false when it was down.
func (f *freezer) freeze(ctx context.Context) bool {
	f.mu.Lock()
	f.service = runner.Services[rand.IntN(len(runner.Services))]
	victim := fmt.Sprintf("%s/%d", f.service, 1+rand.IntN(3))
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.service = ""
	}()
	if !f.mesh.hurt("pause", victim) {
		return false
	}
	timer := time.NewTimer(lostPaused)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	if _, err := f.mesh.try("resume", victim); err != nil {
		f.mesh.t.Error(err)
	}
	return true
}
