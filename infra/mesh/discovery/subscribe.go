package discovery

import (
	"github.com/go-kit/kit/sd"
)

// Source is checked here too, beside go-kit's own view.
var (
	_ sd.Instancer = (*Instancer)(nil)
	_ Source       = (*Instancer)(nil)
	_ Source       = (*Static)(nil)
)

type event = sd.Event

// subscriber hands one go-kit channel the newest state. It has a goroutine of
// its own, so a channel that nobody reads holds up nobody else; states that the
// reader was too slow for are skipped, never the newest.
type subscriber struct {
	ch   chan<- event
	quit chan struct{}
	done chan struct{}
}

// Register sends the current state and every later one to ch, as soon as one is
// known. An Event carries an error only while Consul has never answered.
// Registering a channel twice, or after Stop, does nothing.
func (i *Instancer) Register(ch chan<- event) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, ok := i.subscribers[ch]; ok || i.ctx.Err() != nil {
		return
	}
	s := &subscriber{ch: ch, quit: make(chan struct{}), done: make(chan struct{})}
	i.subscribers[ch] = s
	go func() {
		defer close(s.done)
		s.follow(i.board)
	}()
}

// Deregister ends the subscription. Nothing is sent to ch after it returns, so
// that the caller may close it.
func (i *Instancer) Deregister(ch chan<- event) {
	i.mu.Lock()
	s := i.subscribers[ch]
	delete(i.subscribers, ch)
	i.mu.Unlock()
	if s != nil {
		s.end()
	}
}

// dismiss ends all subscriptions.
func (i *Instancer) dismiss() {
	i.mu.Lock()
	all := i.subscribers
	i.subscribers = map[chan<- event]*subscriber{}
	i.mu.Unlock()
	for _, s := range all {
		s.end()
	}
}

func (s *subscriber) end() {
	close(s.quit)
	<-s.done
}

func (s *subscriber) follow(b *board) {
	snap := b.current.Load()
	for {
		out := s.ch
		if !snap.Ready && snap.Err == nil {
			out = nil // nothing to say yet
		}
		select {
		case out <- snap.event():
			select {
			case <-snap.Changed():
			case <-s.quit:
				return
			}
		case <-snap.Changed():
		case <-s.quit:
			return
		}
		snap = b.current.Load()
	}
}

// event is the state in go-kit's words. Each gets a slice of its own: go-kit's
// endpoint cache sorts it in place.
func (s *Snapshot) event() event {
	if !s.Ready {
		return event{Err: s.Err}
	}
	addrs := make([]string, len(s.Instances))
	for n, instance := range s.Instances {
		addrs[n] = instance.Addr
	}
	return event{Instances: addrs}
}
