package runner

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// until polls a condition; the text it returns, empty for success, says what is
// still missing. The error names the last of them.
func until(ctx context.Context, within time.Duration, out Output, missing func(context.Context) string) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for last := ""; ; {
		text := missing(ctx)
		if text == "" {
			return nil
		}
		// An answer that came only because the time was up says nothing new.
		if ctx.Err() == nil || last == "" {
			last = text
		}
		out.Progress("waiting for " + last)
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("after %s still waiting for %s", within, last)
			}
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// infrastructure says what the instances would miss if they started now.
func (p *plan) infrastructure(s *Supervisor) func(context.Context) string {
	return func(ctx context.Context) string {
		missing := p.missingParts(ctx)
		return missing + p.trouble(s, missing != "")
	}
}

func (p *plan) missingParts(ctx context.Context) string {
	var missing []string
	if !listening(address(p.port.broker)) {
		missing = append(missing, "the broker")
	}
	if !listening(address(p.port.provider)) {
		missing = append(missing, "the payment provider")
	}
	if p.lines != nil && !listening(p.lines.addr) {
		missing = append(missing, "the proxy")
	}
	if !hasLeader(ctx, p.state.Consul) {
		missing = append(missing, "Consul")
	}
	return strings.Join(missing, ", ")
}

// shop says what a customer would miss now: instances Consul does not hold for
// passing, the front door, and why as far as the logs tell.
func (p *plan) shop(s *Supervisor) func(context.Context) string {
	return func(ctx context.Context) string {
		health, err := Health(ctx, p.state.Consul)
		if err != nil {
			return "Consul"
		}
		var missing []string
		for _, service := range Services {
			passing := 0
			for n := 1; n <= p.opts.Instances; n++ {
				if health[instanceID(service, n)] == "passing" {
					passing++
				}
			}
			if passing < p.opts.Instances {
				missing = append(missing, fmt.Sprintf("%s %d/%d", service, passing, p.opts.Instances))
			}
		}
		if len(missing) == 0 && !answers(ctx, p.state.Gateway+"/v1/products?page_size=1") {
			missing = append(missing, "the front door at "+p.state.Gateway)
		}
		return strings.Join(missing, ", ") + p.trouble(s, len(missing) > 0)
	}
}

// trouble names the first child that had to be restarted, with its last words.
func (p *plan) trouble(s *Supervisor, waiting bool) string {
	if !waiting {
		return ""
	}
	r := s.snapshot()
	note := func(name string, restarts int) string {
		return fmt.Sprintf(" (%s restarted %d times; %s: %s)", name, restarts, p.dirs.log(name), lastLine(p.dirs.log(name)))
	}
	for _, part := range r.Parts {
		if part.Restarts > 0 {
			return note(part.Name, part.Restarts)
		}
	}
	for _, i := range r.Instances {
		if i.Restarts > 0 {
			return note(i.ID, i.Restarts)
		}
	}
	return ""
}

func listening(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// hasLeader says whether Consul answers and can take registrations.
func hasLeader(ctx context.Context, consul string) bool {
	text, ok := get(ctx, consul+"/v1/status/leader")
	return ok && strings.Trim(text, "\"\n ") != ""
}

func answers(ctx context.Context, url string) bool {
	_, ok := get(ctx, url)
	return ok
}

// get returns the beginning of the answer and whether it was 200.
func get(ctx context.Context, url string) (string, bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", false
	}
	defer resp.Body.Close()
	text := make([]byte, 512)
	n, _ := resp.Body.Read(text)
	return string(text[:n]), resp.StatusCode == http.StatusOK
}
