package chaos

import "time"

// Verdict is how an experiment ended; its number is the exit code.
type Verdict int

// The verdicts.
const (
	Held         Verdict = iota // every probe is within its tolerance
	Deviated                    // a probe is not
	Violated                    // the audit found something lost, doubled or wrong
	Aborted                     // a stop-condition or the user ended it
	Inconclusive                // the run cannot tell: late load, noise above the tolerance
)

// Journal is everything a run found out: what the report shows and what
// kitmesh chaos run -o json prints.
type Journal struct {
	Version     int           `json:"version"` // 1
	Name        string        `json:"name"`
	Title       string        `json:"title"`
	Description string        `json:"description,omitempty"`
	Stack       string        `json:"stack"`  // mesh or stock
	Target      string        `json:"target"` // local or compose
	Seed        uint64        `json:"seed"`
	Began       time.Time     `json:"began"`
	Ended       time.Time     `json:"ended"`
	Verdict     string        `json:"verdict"` // held, deviated, violated, aborted, inconclusive
	Why         string        `json:"why"`     // one sentence
	Rate        float64       `json:"rate"`    // requests per second
	Capacity    float64       `json:"capacity,omitempty"`
	Phases      []Phase       `json:"phases"`
	Probes      []ProbeResult `json:"probes"`
	Events      []Event       `json:"events"`
	Seconds     []Second      `json:"seconds"`
	Unwatched   string        `json:"unwatched,omitempty"` // why the seconds say nothing of the mesh
	Command     string        `json:"command,omitempty"`   // what repeats the run
	Zipkin      string        `json:"zipkin,omitempty"`    // URL of the UI that has the traces
	Slowest     []Request     `json:"slowest,omitempty"`
	Failed      []Request     `json:"failed,omitempty"`
	Audit       *Audit        `json:"audit,omitempty"`
}

// Phase is warm-up, baseline, fault or recovery.
type Phase struct {
	Name  string  `json:"name"`
	From  float64 `json:"from_s"` // seconds after Began
	To    float64 `json:"to_s"`
	Stats Stats   `json:"stats"`
}

// Stats are what customers saw in a phase.
type Stats struct {
	Requests int64             `json:"requests"`
	Success  float64           `json:"success"`
	Bound    float64           `json:"failure_bound"` // with 95 % confidence fewer fail: 3/n after none
	Failures map[string]int64  `json:"failures,omitempty"`
	Partial  int64             `json:"partial"`
	Late     int64             `json:"late"`
	Tries    float64           `json:"tries_per_request"` // of the edge
	P50      float64           `json:"p50_ms"`
	P90      float64           `json:"p90_ms"`
	P99      float64           `json:"p99_ms"`
	P999     float64           `json:"p999_ms"`
	Max      float64           `json:"max_ms"`
	ByOp     map[string]*Stats `json:"by_op,omitempty"`
}

// ProbeResult is one row of the hypothesis table.
type ProbeResult struct {
	Name      string  `json:"name"`
	Says      string  `json:"says"`  // "success of browse, in the fault"
	Value     float64 `json:"value"` // NaN is not JSON: see Error
	Text      string  `json:"text"`  // the value as people read it, "100.000 % of 24,000"
	Min       float64 `json:"min"`
	Max       float64 `json:"max"`
	Tolerance string  `json:"tolerance"` // as people read it, "at most 1.5"
	Held      bool    `json:"held"`
	Noise     float64 `json:"noise,omitempty"` // what the same probe said of two halves of the baseline (A/A)
	Bound     string  `json:"bound,omitempty"` // "fewer than 0.013 % fail, with 95 % confidence"
	Error     string  `json:"error,omitempty"` // it could not be measured
}

// Event is a marker on the time line.
type Event struct {
	At     float64 `json:"at_s"`
	Kind   string  `json:"kind"` // phase, action, heal, mesh, stop
	Name   string  `json:"name"`
	Target string  `json:"target,omitempty"`
	Text   string  `json:"text,omitempty"`
	Error  string  `json:"error,omitempty"`
}

// Second is one second of the run, by the second in which requests were due.
type Second struct {
	At       float64                   `json:"at_s"`
	Requests int64                     `json:"requests"`
	Failed   int64                     `json:"failed"`
	Partial  int64                     `json:"partial"`
	P50      float64                   `json:"p50_ms"`
	P99      float64                   `json:"p99_ms"`
	Max      float64                   `json:"max_ms"`
	Mesh     map[string]ServiceSeconds `json:"mesh,omitempty"`   // by service called
	Silent   []string                  `json:"silent,omitempty"` // instances that did not answer: dead or paused
}

// ServiceSeconds is what the callers of a service say about one second. An
// instance that is out for some callers and not for others shows as that: hence
// the counts.
type ServiceSeconds struct {
	Callers   int                `json:"callers"`           // that answered
	Calls     float64            `json:"calls"`             // retries and hedges not counted
	Tries     float64            `json:"tries_per_call"`    // 0 without calls
	Retries   float64            `json:"retries_per_call"`  // tries that followed one that failed
	Ejected   map[string]int     `json:"ejected,omitempty"` // callers that hold it out of rotation, by instance id
	Open      map[string]int     `json:"open,omitempty"`    // callers whose breaker of it is not closed
	Out       map[string]float64 `json:"out_s,omitempty"`   // how long some caller has held it out, by instance id
	Instances map[string]float64 `json:"instances"`         // tries by instance id
}

// Request is one request worth looking at.
type Request struct {
	At      float64 `json:"at_s"`
	Op      string  `json:"op"`
	Took    float64 `json:"took_ms"`
	Status  int     `json:"status"`
	Code    string  `json:"code,omitempty"`
	TraceID string  `json:"trace_id,omitempty"`
	Order   string  `json:"order,omitempty"`
}

// Audit is what the business audit said.
type Audit struct {
	Orders     int      `json:"orders"`
	Violations int      `json:"violations"`
	Checks     []string `json:"checks"`             // names of those made
	Skipped    []string `json:"skipped,omitempty"`  // and of those not made, with the reason
	Findings   []string `json:"findings,omitempty"` // sentences
}
