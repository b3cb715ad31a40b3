package runner

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// AlreadyUp is the answer of Up when the mesh of that name runs.
type AlreadyUp struct{ State State }

func (a *AlreadyUp) Error() string { return "mesh " + a.State.Name + " is up already" }

// Up starts a mesh, supervises it until ctx ends, and ends it. It returns nil
// when everything has ended as asked, *AlreadyUp when another process runs this
// mesh, and an error, with nothing left running, when it could not be started.
// The first value on hurry kills what takes its time to end.
func Up(ctx context.Context, opts UpOptions, hurry <-chan struct{}) error {
	d, err := meshDirs(opts.Name)
	if err != nil {
		return err
	}
	if err := d.make(); err != nil {
		return err
	}
	lock, err := lockOrJoin(ctx, d, opts)
	if err != nil {
		return err
	}
	defer lock.release()
	adoptLog(d)
	if left := sweep(d); left > 0 {
		opts.Out.Line(fmt.Sprintf("ended %d processes left behind by an earlier kitmesh", left))
	}
	p, err := newPlan(ctx, d, opts)
	if err != nil {
		return err
	}
	sup := newSupervisor(d, p.state, opts.Out.Line)
	sup.makeInstance, sup.makeExtra = p.instance, p.extra
	closeAPI, err := sup.serveControl()
	if err != nil {
		return err
	}
	stopFetch, err := p.launch(ctx, sup)
	if err == nil {
		<-ctx.Done()
	} else if ctx.Err() != nil {
		err = nil // asked to end while starting
	}
	opts.Out.Line("stopping mesh " + opts.Name)
	sup.update(func(_ *State, ready *bool) { *ready = false }) // who comes now waits for the end
	ended := make(chan struct{})
	go func() {
		select {
		case <-hurry:
			sup.Hurry()
		case <-ended:
		}
	}()
	stopFetch()
	closeAPI()
	sup.Stop()
	close(ended)
	opts.Out.Line("mesh " + opts.Name + " is down")
	return errors.Join(err, clearState(d))
}

// lockOrJoin takes the mesh's lock. While another process has it, it waits for
// that one to be ready, which is *AlreadyUp, or to end.
func lockOrJoin(ctx context.Context, d dirs, opts UpOptions) (*fileLock, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(30 * time.Minute) // the other may be building Consul
	for {
		lock, err := takeLock(d.lock())
		if !errors.Is(err, errLocked) {
			return lock, err
		}
		if r, err := loadRecord(d); err == nil && r.Ready && holds(d, r) {
			return nil, &AlreadyUp{State: r.State}
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("another kitmesh holds %s and does not get ready; run kitmesh down", d.lock())
		}
		opts.Out.Progress("waiting for another kitmesh that works on mesh " + opts.Name)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// holds says whether the state was written by the lock's present holder, not by
// a supervisor that died while the present holder cleans up after it.
func holds(d dirs, r record) bool {
	holder, ok := lockHolder(d.lock())
	return ok && holder.identity == r.Identity[supervisorName]
}

// launch starts everything and waits until a customer could come. What needs
// nothing starts at once; the instances as soon as they find Consul and the
// broker; Zipkin behind them all, waited for by nobody.
func (p *plan) launch(ctx context.Context, sup *Supervisor) (stopFetch func(), err error) {
	stopFetch = func() {}
	start := time.Now()
	first := []spec{p.broker(), p.provider()}
	if p.lines != nil {
		first = append(first, p.proxy())
	}
	if p.consul.path != "" {
		consul, err := consulSpec(p.dirs, p.consul.path, p.ports, p.port.consul)
		if err != nil {
			return stopFetch, err
		}
		first = append([]spec{consul}, first...)
	}
	if err := startAll(sup, first); err != nil {
		return stopFetch, err
	}
	timeout := p.opts.Timeout
	if timeout == 0 {
		timeout = time.Minute
	}
	if err := until(ctx, timeout, p.opts.Out, p.infrastructure(sup)); err != nil {
		return stopFetch, err
	}
	var shop []spec
	for n := 1; n <= p.opts.Instances; n++ {
		for _, service := range Services {
			s, err := p.instance(service, n)
			if err != nil {
				return stopFetch, err
			}
			shop = append(shop, s)
		}
	}
	edge, err := p.edge()
	if err != nil {
		return stopFetch, err
	}
	if err := errors.Join(p.lines.publish(), startAll(sup, append(shop, edge))); err != nil {
		return stopFetch, err
	}
	if stopFetch, err = p.startZipkin(ctx, sup); err != nil {
		return stopFetch, err
	}
	if err := until(ctx, timeout, p.opts.Out, p.shop(sup)); err != nil {
		return stopFetch, err
	}
	if p.opts.Rate > 0 {
		if err := sup.start(p.load()); err != nil {
			return stopFetch, err
		}
	}
	sup.update(func(_ *State, ready *bool) { *ready = true })
	p.opts.Out.Line(fmt.Sprintf("mesh %s is up after %.1f s", p.opts.Name, time.Since(start).Seconds()))
	if p.opts.OnReady != nil {
		p.opts.OnReady(sup.snapshot().State)
	}
	return stopFetch, nil
}

func startAll(sup *Supervisor, specs []spec) error {
	for _, s := range specs {
		if err := sup.start(s); err != nil {
			return fmt.Errorf("start %s: %w", s.name, err)
		}
	}
	return nil
}

// startZipkin starts who collects the traces. The real server is fetched first
// if need be, in the background; the function returned ends a fetch under way.
// Where it cannot be had, the embedded collector takes its place and its port.
func (p *plan) startZipkin(ctx context.Context, sup *Supervisor) (stop func(), err error) {
	switch p.zipkin {
	case zipkinElsewhere:
		return func() {}, nil
	case zipkinEmbedded:
		return func() {}, sup.start(p.embeddedZipkin())
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		collector := p.embeddedZipkin()
		jar, err := fetchZipkin(ctx, p.tools, p.keep, p.dirs.mark(), p.opts.Out)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			collector = zipkinSpec(p.tools.java, jar, p.port.zipkin)
		default:
			p.opts.Out.Line("traces: the embedded collector; " + err.Error())
		}
		if err := sup.start(collector); err != nil && ctx.Err() == nil {
			p.opts.Out.Line("no traces: " + err.Error())
		}
	}()
	return func() {
		cancel()
		<-done
	}, nil
}
