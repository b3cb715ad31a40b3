package runner

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Supervisor keeps the children of one mesh running and state.json true.
type Supervisor struct {
	dirs  dirs
	logf  func(string)
	token string
	hurry chan struct{} // closed when nobody may take their time any more

	// makeInstance plans one instance of a service, for Scale.
	makeInstance func(service string, n int) (spec, error)
	// makeExtra plans one more of another name, version and, as JSON, faults.
	makeExtra func(service, name, version, faults string) (spec, error)

	writing   sync.Mutex // one writer of state.json at a time
	hurryOnce sync.Once

	mu       sync.Mutex
	base     State // what does not change by itself: name and URLs
	ready    bool
	stopping bool
	children map[string]*child
	janitor  context.CancelFunc
	janitors sync.WaitGroup
}

// newSupervisor starts with no children. The mesh's lock must be held.
func newSupervisor(d dirs, base State, logf func(string)) *Supervisor {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Supervisor{
		dirs: d, logf: logf, base: base, token: rand.Text(),
		hurry: make(chan struct{}), children: map[string]*child{}, janitor: cancel,
	}
	s.janitors.Go(func() { boundLogs(ctx, d.logs(), maxLogBytes, time.Second) })
	return s
}

func (s *Supervisor) log(format string, args ...any) {
	if s.logf != nil {
		s.logf(fmt.Sprintf(format, args...))
	}
}

// start begins to supervise a child; an error means its name is in use or the
// mesh is stopping.
func (s *Supervisor) start(sp spec) error {
	ctx, cancel := context.WithCancel(context.Background())
	c := &child{
		sup: s, spec: sp, requests: make(chan request), cancel: cancel,
		done: make(chan struct{}), status: statusRestarting,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		cancel()
		return errors.New("the mesh is stopping")
	}
	if s.children[sp.name] != nil {
		cancel()
		return fmt.Errorf("%s runs already", sp.name)
	}
	s.children[sp.name] = c
	go c.run(ctx)
	return nil
}

// child returns the child of that name.
func (s *Supervisor) child(name string) (*child, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.children[name]
	if c == nil {
		return nil, fmt.Errorf("%s: %w", name, errUnknownName)
	}
	return c, nil
}

// Restart ends a child in good order and starts it again at once; it returns
// when the old process has ended.
func (s *Supervisor) Restart(ctx context.Context, name string) error {
	c, err := s.child(name)
	if err != nil {
		return err
	}
	return c.ask(ctx, syscall.SIGTERM, 0)
}

// Hold ends a child with sig and keeps it down for d; it returns when the
// process has ended. Another Hold or Restart in the meantime replaces it.
func (s *Supervisor) Hold(ctx context.Context, name string, sig syscall.Signal, d time.Duration) error {
	c, err := s.child(name)
	if err != nil {
		return err
	}
	return c.ask(ctx, sig, d)
}

// Scale starts or ends instances until the service has n; ids are <service>-1
// to -n. It returns when those that go have ended.
func (s *Supervisor) Scale(ctx context.Context, service string, n int) error {
	if n < 0 || n > maxInstances {
		return fmt.Errorf("a service has 0 to %d instances, not %d", maxInstances, n)
	}
	if !slices.Contains(Services, service) {
		return fmt.Errorf("%s is not a service; there are %s", service, strings.Join(Services, ", "))
	}
	keep := map[string]bool{}
	for i := 1; i <= n; i++ {
		name := instanceID(service, i)
		keep[name] = true
		if _, err := s.child(name); err == nil {
			continue
		}
		sp, err := s.makeInstance(service, i)
		if err == nil {
			err = s.start(sp)
		}
		if err != nil {
			return fmt.Errorf("start %s: %w", name, err)
		}
	}
	var leave []*child
	s.mu.Lock()
	for name, c := range s.children {
		if c.spec.service == service && !keep[name] && !c.spec.extra {
			leave = append(leave, c)
		}
	}
	s.mu.Unlock()
	return s.remove(ctx, leave)
}

// remove ends children for good and forgets them.
func (s *Supervisor) remove(ctx context.Context, leave []*child) error {
	for _, c := range leave {
		c.cancel()
	}
	for _, c := range leave {
		select {
		case <-c.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		s.mu.Lock()
		delete(s.children, c.spec.name)
		s.mu.Unlock()
	}
	s.persist()
	return nil
}

// Stop ends every child, those that ask before those that answer, each group
// in parallel, and returns when none is left. Hurry cuts it short.
func (s *Supervisor) Stop() {
	s.mu.Lock()
	s.stopping = true
	tiers := make([][]*child, tierCount)
	for _, c := range s.children {
		t := tierOf(c.spec.name, c.spec.service)
		tiers[t] = append(tiers[t], c)
	}
	s.mu.Unlock()
	// Two slow groups do not add up to more than anybody wants to wait.
	overall := time.AfterFunc(2*drain, s.Hurry)
	defer overall.Stop()
	for _, tier := range tiers {
		for _, c := range tier {
			c.cancel()
		}
		for _, c := range tier {
			<-c.done
		}
	}
	endAll(marked(s.dirs.mark()), time.Second) // what a child left behind
	s.janitor()
	s.janitors.Wait()
}

// Hurry kills whatever has not ended yet.
func (s *Supervisor) Hurry() { s.hurryOnce.Do(func() { close(s.hurry) }) }

// update changes what the state says besides the children.
func (s *Supervisor) update(change func(base *State, ready *bool)) {
	s.mu.Lock()
	change(&s.base, &s.ready)
	s.mu.Unlock()
	s.persist()
}

// snapshot returns the state as of now.
func (s *Supervisor) snapshot() record {
	s.mu.Lock()
	defer s.mu.Unlock()
	self, _, _ := identify(os.Getpid())
	r := record{State: s.base, Ready: s.ready, Token: s.token, Identity: map[string]string{supervisorName: self}}
	r.Instances = []Instance{}
	r.Parts = []Part{{Name: supervisorName, PID: os.Getpid(), Status: statusRunning}}
	for name, c := range s.children {
		if c.identity != "" {
			r.Identity[name] = c.identity
		}
		if c.spec.service == "" {
			r.Parts = append(r.Parts, Part{Name: name, PID: c.pid, Admin: c.spec.admin, Restarts: c.restarts, Status: c.status})
			continue
		}
		r.Instances = append(r.Instances, Instance{
			Service: c.spec.service, ID: name, PID: c.pid, RPC: c.spec.rpc, Admin: c.spec.admin,
			Version: c.spec.version, Zone: c.spec.zone, Restarts: c.restarts, Status: c.status, Source: c.spec.source, Extra: c.spec.extra,
		})
	}
	sortState(&r.State)
	return r
}

// persist writes state.json. Snapshots are taken under the writers' lock, so
// that an older one never overwrites a newer one.
func (s *Supervisor) persist() {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.snapshot().save(s.dirs); err != nil {
		s.log("%v", err)
	}
}
