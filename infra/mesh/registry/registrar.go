package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/go-kit/kit/sd"
	"github.com/hashicorp/consul/api"
)

const (
	// callTimeout bounds every call, so that a frozen Consul blocks nobody.
	callTimeout = time.Second
	// leaveTimeout bounds the departure as a whole.
	leaveTimeout = 2 * time.Second
	// farewell is how long callers get to see "draining" before the entry goes:
	// blocked watches wake within 10 ms.
	farewell = 100 * time.Millisecond
	// checkOutputLimit keeps the sentence one that fits the Consul UI.
	checkOutputLimit = 512
)

// ErrWarn marks a health error that means "limping": the instance keeps its
// traffic and shows as warning. Wrap it: fmt.Errorf("slow disk: %w", ErrWarn).
var ErrWarn = errors.New("degraded")

// Health says how the instance is, in a sentence. An error takes the instance
// out of the traffic (critical), one that wraps ErrWarn only shows. It must
// return when ctx ends; while it hangs the instance counts as lost.
type Health func(ctx context.Context) (string, error)

// Registrar keeps one instance registered. It implements sd.Registrar.
type Registrar struct {
	consul *api.Client
	reg    Registration
	health Health
	log    *slog.Logger

	mu     sync.Mutex // held during a call to Consul: beats and departure take turns
	left   bool       // no beat or registration after the departure
	known  bool       // Consul is believed to hold the entry
	silent bool       // the trouble was logged already

	background sync.Mutex
	stop       context.CancelFunc
	done       chan struct{}
}

var _ sd.Registrar = (*Registrar)(nil)

// New returns a Registrar; nothing happens before Run or Register. A nil health
// always passes, a nil logger says nothing.
func New(consul *api.Client, reg Registration, health Health, logger *slog.Logger) *Registrar {
	reg = reg.withDefaults()
	if health == nil {
		health = func(context.Context) (string, error) { return "up since " + reg.Started.Format(time.TimeOnly), nil }
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Registrar{
		consul: consul, reg: reg, health: health,
		log: logger.With("service", reg.Service, "instance", reg.ID),
	}
}

// Run registers the instance and beats until ctx ends, then leaves as Drain
// does, within 2 s. Trouble with Consul is logged once and tried again at every
// beat; the only error is a registration that can never work.
func (r *Registrar) Run(ctx context.Context) error {
	if err := r.reg.validate(); err != nil {
		return err
	}
	ticker := time.NewTicker(r.reg.TTL / 4)
	defer ticker.Stop()
	for {
		r.beat(ctx)
		select {
		case <-ctx.Done():
			// The caller's context is over; leaving has its own bound.
			if err := r.Drain(context.WithoutCancel(ctx)); err != nil {
				r.log.Warn("left without telling Consul; its check lapses", "err", err)
			}
			return nil
		case <-ticker.C:
		}
	}
}

// Drain takes the instance out of the traffic and then out of Consul, and ends
// the beats. It returns within 2 s. Calling it again does nothing.
func (r *Registrar) Drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left {
		return nil
	}
	r.left = true
	if r.known {
		r.sayGoodbye(ctx)
	}
	if err := Forget(ctx, r.consul, r.reg.ID); err != nil {
		return err
	}
	r.known = false
	r.log.Info("deregistered")
	return nil
}

// sayGoodbye lets every caller see the departure before the entry vanishes, so
// that none doubts it.
func (r *Registrar) sayGoodbye(ctx context.Context) {
	short, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := r.update(short, api.HealthCritical, Draining+": leaving on request"); err == nil {
		pause(ctx, farewell)
	}
}

// beat reports the health, and registers where Consul does not know us.
func (r *Registrar) beat(ctx context.Context) {
	status, sentence := r.examine(ctx)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left || ctx.Err() != nil {
		return
	}
	if r.known {
		err := r.update(ctx, status, sentence)
		if err == nil || !forgotten(err) {
			r.note(err)
			return
		}
		r.known = false
		r.log.Warn("Consul forgot this instance; registering again")
	}
	r.note(r.register(ctx, status, sentence))
}

// register enters the instance and reports at once: over an entry with the same
// id Consul keeps the old check's status, which may be critical.
func (r *Registrar) register(ctx context.Context, status, sentence string) error {
	entry, err := r.reg.forConsul(status)
	if err != nil {
		return err
	}
	opts := api.ServiceRegisterOpts{ReplaceExistingChecks: true}.WithContext(ctx)
	if err := r.consul.Agent().ServiceRegisterOpts(entry, opts); err != nil {
		return fmt.Errorf("register %s: %w", r.reg.ID, err)
	}
	r.known = true
	r.log.Info("registered", "addr", r.reg.Addr)
	return r.update(ctx, status, sentence)
}

func (r *Registrar) update(ctx context.Context, status, sentence string) error {
	q := (&api.QueryOptions{}).WithContext(ctx)
	return r.consul.Agent().UpdateTTLOpts(r.reg.checkID(), sentence, status, q)
}

// examine asks for the health within half a TTL: a health check that hangs must
// not make the beats late without saying so.
func (r *Registrar) examine(ctx context.Context) (status, sentence string) {
	ctx, cancel := context.WithTimeout(ctx, r.reg.TTL/2)
	defer cancel()
	sentence, err := r.health(ctx)
	status = api.HealthPassing
	switch {
	case err == nil:
	case errors.Is(err, ErrWarn):
		status, sentence = api.HealthWarning, err.Error()
	default:
		status, sentence = api.HealthCritical, err.Error()
	}
	if len(sentence) > checkOutputLimit {
		sentence = sentence[:checkOutputLimit]
	}
	return status, sentence
}

// note logs the beginning and the end of trouble, not every beat of it.
func (r *Registrar) note(err error) {
	switch {
	case err != nil && !r.silent:
		r.silent = true
		r.log.Warn("Consul does not take the heartbeat; trying again", "err", err)
	case err == nil && r.silent:
		r.silent = false
		r.log.Info("Consul takes heartbeats again")
	}
}

// Register runs the instance's registration in the background until
// Deregister. Both are for go-kit code; Run is the same with an owner.
func (r *Registrar) Register() {
	r.background.Lock()
	defer r.background.Unlock()
	if r.stop != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	r.stop, r.done = cancel, done
	go func() {
		defer close(done)
		if err := r.Run(ctx); err != nil {
			r.log.Error("cannot register", "err", err)
		}
	}()
}

// Deregister ends what Register began and waits until the instance has left.
func (r *Registrar) Deregister() {
	r.background.Lock()
	defer r.background.Unlock()
	if r.stop == nil {
		return
	}
	r.stop()
	<-r.done
}

// Forget removes the entry of an instance that cannot do it itself any more: a
// supervisor calls it for the ones it found dead. An unknown id is no error.
func Forget(ctx context.Context, consul *api.Client, id string) error {
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	err := consul.Agent().ServiceDeregisterOpts(id, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil && !forgotten(err) {
		return fmt.Errorf("deregister %s: %w", id, err)
	}
	return nil
}

// forgotten reports whether Consul answered that it does not know the check or
// the service: it was restarted, or somebody deregistered us.
func forgotten(err error) bool {
	status, ok := errors.AsType[api.StatusError](err)
	return ok && status.Code == http.StatusNotFound
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
