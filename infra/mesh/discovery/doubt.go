package discovery

import (
	"slices"
	"time"
)

// DefaultGrace is how long a doubted disappearance is not believed.
const DefaultGrace = 10 * time.Second

// memory decides which disappearances to believe. An instance may be missing
// from Consul's healthy ones for four reasons:
//
//   - it left on purpose. It said so in its last check (registry.Draining), an
//     operator put it in maintenance, or the same id came back at another
//     address: believed at once.
//   - Consul forgot it. The answer is the first after an error or after Consul's
//     index went backwards, and the entry is absent: a restarted Consul knows
//     nobody until they register again. Kept for the grace.
//   - it is one of many that vanished together: more than half of all that were
//     up within the grace. That is a partition, or a Consul that slept and let
//     every TTL lapse, far more often than so many crashes. Kept for the grace.
//   - otherwise it died: believed at once.
//
// What is kept is published as Doubted. It stays as usable as the rest: callers
// have evidence of their own (a refused connection, an open breaker) and skip
// the truly dead. The grace ends the doubt, so a scale-down to nothing and a
// mesh that was replaced are believed after it.
//
// Worked example, grace 10 s: of a, b, c the TTL of c lapses at 0 s; 1 of 3 is
// believed. At 0.2 s b lapses too: 2 of 3 are missing, more than half, so both
// b and c are published again, doubted. At 0.5 s b beats: 1 of 3 missing; c is
// out again.
type memory struct {
	grace time.Duration
	known map[string]*record // by listed.name
}

type record struct {
	Instance
	missing   time.Time // since when; zero while it is up
	forgotten bool      // absent after Consul lost its state
	published bool      // in the last set
}

func newMemory(grace time.Duration) *memory {
	return &memory{grace: grace, known: map[string]*record{}}
}

// believe takes Consul's answer, reset when it is the first one after Consul may
// have lost its state, and returns the instances to publish, sorted.
func (m *memory) believe(now time.Time, answer []listed, reset bool) []Instance {
	isUp := m.learn(answer)
	missing := 0
	for name, r := range m.known {
		up, isListed := isUp[name]
		switch {
		case up:
			continue
		case isListed: // Consul knows it and says it is down
			r.forgotten = false
		case reset && r.published: // also renews a doubt that Consul's death held up
			r.forgotten, r.missing = true, now
		}
		if r.missing.IsZero() {
			r.missing = now
		}
		if now.Sub(r.missing) >= m.grace {
			delete(m.known, name)
			continue
		}
		missing++
	}
	return m.publish(missing*2 > len(m.known))
}

// learn enters what is up, drops what left, and tells of every other listed
// entry whether it is up.
func (m *memory) learn(answer []listed) map[string]bool {
	isUp := make(map[string]bool, len(answer))
	for _, l := range answer {
		switch l.state {
		case up:
			m.known[l.name] = &record{Instance: l.Instance}
			isUp[l.name] = true
		case leaving:
			delete(m.known, l.name)
		case down:
			isUp[l.name] = false
		}
	}
	return isUp
}

func (m *memory) publish(mass bool) []Instance {
	out := make([]Instance, 0, len(m.known))
	for _, r := range m.known {
		doubted := !r.missing.IsZero()
		r.published = !doubted || mass || r.forgotten
		if r.published {
			instance := r.Instance
			instance.Doubted = doubted
			out = append(out, instance)
		}
	}
	slices.SortFunc(out, byID)
	return out
}

// next returns when the oldest doubt ends, and false if nothing is missing.
func (m *memory) next() (time.Time, bool) {
	var first time.Time
	for _, r := range m.known {
		if !r.missing.IsZero() && (first.IsZero() || r.missing.Before(first)) {
			first = r.missing
		}
	}
	return first.Add(m.grace), !first.IsZero()
}
