package telemetry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// checkFor bounds one check. A heartbeat must not wait for longer.
const checkFor = 500 * time.Millisecond

// Check finds out how one part is and says it in a sentence; an error means
// that the instance cannot serve.
type Check func(ctx context.Context) (sentence string, err error)

// Health collects what an instance knows about its parts, such as "broker" or
// "replay". Parts are either asked (Add) or report by themselves (Report). The
// zero value is healthy.
type Health struct {
	mu    sync.Mutex
	parts []*part // in the order they became known
}

type part struct {
	name     string
	check    Check // nil: it reports
	sentence string
	err      error
	running  chan struct{} // closed when the check under way ends; nil: none
	since    time.Time     // when it began
}

// Add makes Summary ask check about the named part.
func (h *Health) Add(name string, check Check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.find(name).check = check
}

// Report keeps what the named part says about itself until it says otherwise.
// A part that starts up or drains reports an error that says so.
func (h *Health) Report(name, sentence string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.find(name)
	p.sentence, p.err = sentence, err
}

func (h *Health) find(name string) *part {
	i := slices.IndexFunc(h.parts, func(p *part) bool { return p.name == name })
	if i >= 0 {
		return h.parts[i]
	}
	p := &part{name: name}
	h.parts = append(h.parts, p)
	return p
}

// Summary asks all parts at once and joins their sentences: what the registrar
// tells Consul and /readyz answers. The error, if any part has one, names the
// failing parts first. It takes at most half a second: a check that hangs is a
// failure, and is not started again before it ends.
func (h *Health) Summary(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, checkFor)
	defer cancel()
	h.mu.Lock()
	parts := slices.Clone(h.parts)
	for _, p := range parts {
		if p.check != nil && p.running == nil {
			p.running, p.since = make(chan struct{}), time.Now()
			go h.ask(context.WithoutCancel(ctx), p, p.check) // others may wait for it too
		}
	}
	h.mu.Unlock()
	var well, ill []string
	for _, p := range parts {
		sentence, err := h.result(ctx, p)
		if err != nil {
			ill = append(ill, p.name+": "+err.Error())
		} else {
			well = append(well, p.name+": "+sentence)
		}
	}
	if len(ill) > 0 {
		return "", errors.New(strings.Join(ill, "; "))
	}
	if len(well) == 0 {
		return "ready", nil
	}
	return strings.Join(well, "; "), nil
}

// ask runs one check; its context bounds it if it obeys.
func (h *Health) ask(ctx context.Context, p *part, check Check) {
	ctx, cancel := context.WithTimeout(ctx, checkFor)
	defer cancel()
	sentence, err := safely(ctx, check)
	h.mu.Lock()
	defer h.mu.Unlock()
	p.sentence, p.err = sentence, err
	close(p.running)
	p.running = nil
}

func safely(ctx context.Context, check Check) (sentence string, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the check panicked: %v", v)
		}
	}()
	return check(ctx)
}

// result waits for the part's check, if one is under way, or for ctx.
func (h *Health) result(ctx context.Context, p *part) (string, error) {
	h.mu.Lock()
	running, since := p.running, p.since
	h.mu.Unlock()
	if running != nil {
		select {
		case <-running:
		case <-ctx.Done():
			return "", fmt.Errorf("no answer for %v", time.Since(since).Round(10*time.Millisecond))
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return p.sentence, p.err
}
