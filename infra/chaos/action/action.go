// Package action does to a mesh what an experiment's method says, and undoes it.
// What an action changes is in a log on disk before it is changed, so that the
// mesh can be healed after the end, however sudden, of the process that hurt it.
package action

import (
	"time"
)

// Target is a set of instances or a part that actions aim at.
type Target struct {
	Service    string // or
	Part       string // consul, broker, zipkin, provider, edge
	Select     string // ALL, COUNT(1), PERCENT(50); "" is COUNT(1)
	Pick       string // round-robin (another at each repetition; also ""), random, same
	MinHealthy int    // of Service, refused to be broken
}

// Spec is one action as written in an experiment. Which fields an action takes,
// and must have, Check says.
type Spec struct {
	Action       string // kill, pause, restart, scale, slow, fail, latency, ...
	Target       string // a name of the experiment's targets
	Signal       string
	Every        time.Duration // repeat until the phase ends
	For          time.Duration // undo after; 0: at the end of the phase
	RestartAfter time.Duration
	Latency      time.Duration
	Jitter       time.Duration
	Rate         float64
	Code         string
	Instances    int
	Version      string
	Peers        []string // services or parts that a network action cuts off
	Workers      int      // of a CPU burn
}

// Note is what an action says while it runs: what it did to whom.
type Note struct {
	Kind   string // "action" or "heal"
	Action string
	Target string // the instance, service, part or line
	Text   string // "killed with SIGKILL"
	Err    error  // what did not work; the action goes on
}
