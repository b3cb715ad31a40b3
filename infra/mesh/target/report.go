package target

import (
	"encoding/json"
	"math"
	"net/http"
	"strings"

	"google.golang.org/grpc/connectivity"
)

// Report is a Target as the /mesh page shows it.
type Report struct {
	Service    string  `json:"service"`
	Ready      bool    `json:"ready"`             // discovery has answered
	Trouble    string  `json:"trouble,omitempty"` // why discovery does not answer now
	Calls      uint64  `json:"calls"`             // that looked for an instance; retries and hedges are not counted
	Retries    uint64  `json:"retries"`
	BudgetLeft float64 `json:"budget_left"` // retries that may be made now
	Known      int     `json:"known"`       // instances that discovery told; the members may be a subset
	// ZonePart is the part of the calls that insist on the caller's zone now; nil
	// where no zone is preferred, or there is no choice.
	ZonePart *float64       `json:"zone_part,omitempty"`
	Settings map[string]any `json:"settings,omitempty"` // in force, defaults included; see Options
	Members  []MemberReport `json:"members"`
}

// MemberReport is one instance as the caller sees it.
type MemberReport struct {
	ID       string `json:"id"`
	Addr     string `json:"addr"`
	Version  string `json:"version"`
	Zone     string `json:"zone"`
	Weight   int    `json:"weight"`
	Doubted  bool   `json:"doubted,omitempty"` // Consul lost it; kept for now
	State    string `json:"state"`             // of the connection: "undialled", "ready", "refused", ...
	Breaker  string `json:"breaker"`
	InFlight int64  `json:"in_flight"`
	Picks    uint64 `json:"picks"`
	Failures uint64 `json:"failures"`
	// EWMAMillis is the peak EWMA of the answers' times; 0 while unknown.
	EWMAMillis float64 `json:"ewma_ms"`
	Suspect    bool    `json:"suspect,omitempty"`    // holds calls and is silent
	Ejected    string  `json:"ejected,omitempty"`    // out of rotation, why: "breaker", "rate", "stall"
	OutMillis  int64   `json:"out_for_ms,omitempty"` // since it was ejected, while it is
	BackMillis int64   `json:"back_in_ms,omitempty"` // until it is asked whether it is well, while ejected
	Rate       float64 `json:"success_rate"`         // of its last tries, 63 at most; 1 while unknown
	SlowStart  float64 `json:"slow_start"`           // the part of its share that it gets now; 1: all
}

// Report tells what the Target knows now.
func (t *Target) Report() Report {
	s := t.set.Load()
	r := Report{
		Service: t.opts.Service, Ready: s.ready, Calls: t.calls.Load(), Retries: t.retries.Load(),
		BudgetLeft: t.budget.left(), Known: s.known, Settings: settingsOf(t.opts), Members: []MemberReport{},
	}
	if s.zones != nil {
		part := math.Float64frombits(s.zones.stay.Load())
		r.ZonePart = &part
	}
	if source, ok := t.opts.Source.(interface{ Err() error }); ok && source.Err() != nil {
		r.Trouble = source.Err().Error()
	}
	now := t.now()
	for _, m := range s.members {
		i := m.Instance()
		ejected, out, back, rate := m.standing(now)
		r.Members = append(r.Members, MemberReport{
			ID: i.ID, Addr: i.Addr, Version: i.Version, Zone: i.Zone, Weight: i.Weight, Doubted: i.Doubted,
			State: m.stateName(), Breaker: m.breaker.State(), InFlight: int64(m.inFlight.Load()),
			Picks: m.picks.Load(), Failures: m.failures.Load(),
			EWMAMillis: float64(m.latency.estimate(now, m.inFlight.Load() == 0).Microseconds()) / 1000,
			Ejected:    ejected, OutMillis: out.Milliseconds(), BackMillis: back.Milliseconds(), Rate: rate,
			Suspect: m.stall.suspect.Load(), SlowStart: m.ramp(now),
		})
	}
	return r
}

func (m *Member) stateName() string {
	state := m.conn.Load()
	switch {
	case m.refusedUntil.Load() > int64(m.target.now()):
		return "refused"
	case state == undialled:
		return "undialled"
	}
	return strings.ToLower(connectivity.State(state).String())
}

// Handler serves {"targets": [...]} of the targets that list returns; mount it
// at /mesh on the admin port.
func Handler(list func() []*Target) http.Handler {
	return Page(func() []Report {
		reports := []Report{}
		for _, t := range list() {
			reports = append(reports, t.Report())
		}
		return reports
	})
}

// Page serves {"targets": [...]} of reports. With ?brief the settings are left
// out, which are most of the work: for those who ask every second.
func Page(list func() []Report) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		out, reports := json.NewEncoder(w), list()
		if r.URL.Query().Has("brief") {
			for i := range reports {
				reports[i].Settings = nil
			}
		} else {
			out.SetIndent("", "  ")
		}
		_ = out.Encode(map[string]any{"targets": reports}) // the reader left
	})
}
