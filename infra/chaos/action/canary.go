package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/kitmesh/kitmesh/infra/canary"
	"github.com/kitmesh/kitmesh/infra/mesh/target"
	"github.com/kitmesh/kitmesh/infra/runner"
)

// canaryKind starts one more instance of a service, of another version and with
// faults, and takes it away as soon as its callers count more failures of it than
// of the others, or it takes longer than they do.
var canaryKind = kind{
	name: "canary", on: onInstances,
	needs: []string{"target", "version"}, takes: []string{"rate", "code", "latency"},
	wide: true,
	long: func(ctx context.Context, r *Running) (func(context.Context) error, error) {
		hirer, ok := r.lab.fleet.(runner.Hirer)
		if !ok {
			return nil, errors.New("this mesh cannot run an instance of another version")
		}
		h := runner.Hire{Service: r.target.Service, Version: r.spec.Version, Name: r.target.Service + "-" + r.spec.Version}
		if r.spec.Latency > 0 {
			h.Faults.Latency = r.spec.Latency.String()
		}
		h.Faults.ErrorRate, h.Faults.Code = r.spec.Rate, r.spec.Code
		if status, err := statusOf(ctx, r.lab.fleet, h.Name); err != nil || status != "" {
			return nil, errors.Join(err, fmt.Errorf("%s runs already", h.Name))
		}
		var id string
		err := r.change(undo{Kind: undoCanary, Name: h.Name}, func() (err error) {
			id, err = hirer.Hire(ctx, h)
			return err
		})
		if err != nil {
			return nil, err
		}
		r.say(id, "started as "+r.spec.Version, nil)
		return func(ctx context.Context) error { return r.judge(ctx, h.Name, id) }, nil
	},
}

const (
	undoCanary = "canary"
	judgeEvery = 250 * time.Millisecond
)

// judge watches a canary until it is found worse, then dismisses it.
func (r *Running) judge(ctx context.Context, name, id string) error {
	j := canary.New(id, canary.Options{})
	began := time.Now()
	tick := time.NewTicker(judgeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		state, err := r.lab.fleet.State(ctx)
		if err != nil {
			continue // asked again; Stop ends it
		}
		verdict := j.Observe(time.Now(), sample(ctx, state, r.target.Service))
		if !verdict.Worse {
			continue
		}
		dismissing, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoPatience)
		defer cancel()
		if _, err := dismiss(dismissing, r.lab.fleet, undo{Name: name}); err != nil {
			return fmt.Errorf("roll %s back: %w", id, err)
		}
		r.say(id, fmt.Sprintf("rolled back after %.1f s: %s", time.Since(began).Seconds(), verdict.Why), nil)
		return nil
	}
}

// sample asks every instance of the other services, and the edge, what they count
// of the instances of a service, and those how long they take. Who does not
// answer in time is left out.
func sample(ctx context.Context, state runner.State, service string) canary.Sample {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	var all canary.Sample
	ask := func(caller, admin string, serves bool) {
		if admin == "" {
			return
		}
		wg.Go(func() {
			var tries []canary.Tries
			var served []canary.Served
			if serves {
				served, _ = askServed(ctx, caller, admin)
			} else {
				tries, _ = askTries(ctx, caller, admin, service)
			}
			mu.Lock()
			defer mu.Unlock()
			all.Tries, all.Served = append(all.Tries, tries...), append(all.Served, served...)
		})
	}
	for _, i := range state.Instances {
		if i.Status == "running" {
			ask(i.ID, i.Admin, i.Service == service)
		}
	}
	for _, p := range state.Parts {
		ask(p.Name, p.Admin, false)
	}
	wg.Wait()
	return all
}

// askTries reads from /mesh what a caller counts.
func askTries(ctx context.Context, caller, admin, service string) ([]canary.Tries, error) {
	text, err := ask(ctx, admin+"/mesh?brief")
	if err != nil {
		return nil, err
	}
	var page struct{ Targets []target.Report }
	if err := json.Unmarshal(text, &page); err != nil {
		return nil, err
	}
	var tries []canary.Tries
	for _, t := range page.Targets {
		if t.Service != service {
			continue
		}
		for _, m := range t.Members {
			tries = append(tries, canary.Tries{Caller: caller, Instance: m.ID, Tries: m.Picks, Failures: m.Failures})
		}
	}
	return tries, nil
}

var servedLine = regexp.MustCompile(`(?m)^kitmesh_server_request_seconds_(sum|count)\{method="([^"]+)"\} (\S+)$`)

// askServed reads from /metrics how long an instance takes for its methods.
func askServed(ctx context.Context, id, admin string) ([]canary.Served, error) {
	text, err := ask(ctx, admin+"/metrics")
	if err != nil {
		return nil, err
	}
	methods := map[string]canary.Served{}
	for _, m := range servedLine.FindAllSubmatch(text, -1) {
		value, err := strconv.ParseFloat(string(m[3]), 64)
		if err != nil {
			return nil, err
		}
		method := string(m[2])
		s := methods[method]
		s.Instance, s.Method = id, method
		if string(m[1]) == "sum" {
			s.Seconds = value
		} else {
			s.Count = uint64(value)
		}
		methods[method] = s
	}
	return slices.Collect(maps.Values(methods)), nil
}

func ask(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(io.LimitReader(resp.Body, 8<<20))
}

// dismiss ends a canary and looks whether it has gone.
func dismiss(ctx context.Context, fleet runner.Fleet, u undo) (string, error) {
	status, err := statusOf(ctx, fleet, u.Name)
	if err != nil || status == "" {
		return "", err
	}
	hirer, ok := fleet.(runner.Hirer)
	if !ok {
		return "", errors.New("this mesh knows no canaries")
	}
	if err := hirer.Dismiss(ctx, u.Name); err != nil {
		return "", err
	}
	err = await(ctx, "is still there", func() (bool, error) {
		status, err := statusOf(ctx, fleet, u.Name)
		return status == "", err
	})
	return u.Name + " is gone", err
}
