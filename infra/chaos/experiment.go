// Package chaos runs experiments on a mesh: a hypothesis about what customers
// see, actions that disturb the mesh, load and a business audit around them, and
// a verdict.
package chaos

import (
	"time"

	"github.com/kitmesh/kitmesh/infra/chaos/action"
)

// Experiment is one file of experiments/. Its words are the Chaos Toolkit's
// (hypothesis, method, rollbacks, tolerance), with the targets and the
// stop-conditions of AWS FIS.
type Experiment struct {
	Name           string // the file's, without .yaml
	Title          string
	Description    string
	Mesh           MeshOptions // what the mesh must have been started with
	Seed           uint64
	Targets        map[string]action.Target
	Load           Load
	Hypothesis     Hypothesis
	Method         []Step
	StopConditions []StopCondition
	Rollbacks      []Step
}

// MeshOptions are what kitmesh up is called with for the experiment.
type MeshOptions struct {
	Instances int
	Work      time.Duration // simulated service time
	Workers   int
	Proxies   bool // in every line: what latency, loss, reset and partition need
}

// Load is the customers of an experiment. They come before (warm-up, baseline),
// during and after (recovery) the fault, at one rate; where FaultRate is set,
// more come during the fault.
type Load struct {
	Rate             Rate
	FaultRate        Rate // of the fault phase; zero: Rate
	Arrivals         string
	Mix              map[string]float64
	Warmup           time.Duration
	Baseline         time.Duration
	Duration         time.Duration // of the fault
	Recovery         time.Duration
	Deadline         time.Duration // of a browsing customer
	CheckoutDeadline time.Duration
}

// Rate is requests per second, or a share of the measured capacity.
type Rate struct {
	PerSecond float64
	Capacity  float64 // share, 0.6 for 60%capacity; 0: PerSecond counts
}

// Hypothesis is what must stay true.
type Hypothesis struct {
	Title  string
	Probes []Probe
}

// Probe is one measured value and its tolerance.
type Probe struct {
	Name      string
	Type      string // load, mesh, audit, process
	Metric    string // as success, p99_vs_baseline, tries_per_request
	Op        string // browse, checkout; "" is both
	Service   string // or part, where the metric is of one
	Check     string // of an audit
	Phase     string // baseline, fault (the default), recovery, all
	Tolerance Tolerance
}

// Tolerance is a range, both ends included.
type Tolerance struct{ Min, Max float64 }

// Step is one action of the method or of the rollbacks.
type Step struct {
	Name   string
	At     time.Duration // after the fault phase began
	Action action.Spec
}

// StopCondition aborts the experiment. Either Below or Above is set.
type StopCondition struct {
	Probe string
	Below *float64
	Above *float64
	For   time.Duration
}
