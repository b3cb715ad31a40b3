package proxy

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// link is one connection through a line.
type link struct {
	line   *line
	client *net.TCPConn
	from   netip.Addr

	lot lots

	mu     sync.Mutex
	server *net.TCPConn // nil until connected
	ended  bool
	gone   chan struct{} // closed with it
	timers []*time.Timer
	lossy  atomic.Bool // bytes were dropped: what follows would make no sense
}

// lots are a connection's draws, one for each toxic it met.
type lots struct {
	mu    sync.Mutex
	drawn map[string]float64
}

func (l *lots) of(t *Toxic) float64 {
	if *t.Toxicity == 1 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.drawn == nil {
		l.drawn = map[string]float64{}
	}
	lot, ok := l.drawn[t.Name]
	if !ok {
		lot = rand.Float64()
		l.drawn[t.Name] = lot
	}
	return lot
}

func (k *link) concerns(t *Toxic) bool { return t.concerns(k.from, k.lot.of(t)) }

// obey follows the toxics that act by themselves, without a byte: those that end
// the connection after a time. A connection that lost bytes is reset as soon as
// no toxic silences it any more.
func (k *link) obey() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range k.timers {
		t.Stop()
	}
	k.timers = k.timers[:0]
	if k.ended {
		return
	}
	silent := false
	for _, t := range k.line.toxics.Load().list {
		if !k.concerns(t) {
			continue
		}
		switch t.Type {
		case "timeout":
			silent = true
			if d := t.millis("timeout"); d > 0 {
				k.timers = append(k.timers, time.AfterFunc(d, k.end))
			}
		case "reset_peer":
			k.timers = append(k.timers, time.AfterFunc(t.millis("timeout"), k.reset))
		}
	}
	if k.lossy.Load() && !silent {
		k.timers = append(k.timers, time.AfterFunc(0, k.reset))
	}
}

// run passes bytes both ways until both have ended.
func (k *link) run(server *net.TCPConn) {
	k.mu.Lock()
	k.server = server
	ended := k.ended
	k.mu.Unlock()
	if ended { // while dialling
		_ = server.SetLinger(0)
		_ = server.Close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { newStream(k, Upstream, k.client, server).run() })
	newStream(k, Downstream, server, k.client).run()
	both.Wait()
}

// end closes both sides in good order.
func (k *link) end() { k.close(false) }

// reset closes both sides with a RST.
func (k *link) reset() { k.close(true) }

func (k *link) close(hard bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended {
		return
	}
	k.ended = true
	close(k.gone)
	for _, t := range k.timers {
		t.Stop()
	}
	for _, c := range []*net.TCPConn{k.client, k.server} {
		if c == nil {
			continue
		}
		if hard {
			_ = c.SetLinger(0)
		}
		_ = c.Close()
	}
}

// stream is one direction of a link. Its reader passes bytes on itself as long
// as no toxic is there; then its writer does.
type stream struct {
	link      *link
	direction string
	from, to  *net.TCPConn
	queue     chan chunk
	waiting   atomic.Int64 // chunks the writer has not dealt with
	writer    bool         // it was started
	done      chan struct{}
	passed    map[string]int // bytes, by limit_data toxic
}

// chunk is some bytes, or the end, and when they came.
type chunk struct {
	bytes []byte
	end   bool
	at    time.Time
}

const (
	chunkSize = 16 << 10
	queueSize = 64 // chunks a toxic may hold; then the sender waits
)

func newStream(k *link, direction string, from, to *net.TCPConn) *stream {
	return &stream{
		link: k, direction: direction, from: from, to: to,
		queue: make(chan chunk, queueSize), done: make(chan struct{}), passed: map[string]int{},
	}
}

// run reads until the end.
func (s *stream) run() {
	buf := make([]byte, chunkSize)
	for {
		n, err := s.from.Read(buf)
		if n > 0 {
			s.pass(buf[:n])
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, io.EOF) { // a reset stays one
			s.link.reset()
		}
		s.finish()
		return
	}
}

// pass hands bytes on.
func (s *stream) pass(b []byte) {
	if s.waiting.Load() == 0 && len(s.toxics().list) == 0 {
		if _, err := s.to.Write(b); err != nil {
			s.link.reset()
		}
		return
	}
	s.enqueue(chunk{bytes: append([]byte(nil), b...), at: time.Now()})
}

func (s *stream) enqueue(c chunk) {
	if !s.writer {
		s.writer = true
		go s.write()
	}
	s.waiting.Add(1)
	s.queue <- c // the writer takes them to the last, whatever happens
}

// finish passes the end on and waits until it has been.
func (s *stream) finish() {
	if !s.writer && len(s.toxics().list) == 0 {
		_ = s.to.CloseWrite()
		return
	}
	s.enqueue(chunk{end: true, at: time.Now()})
	close(s.queue)
	<-s.done
}

// toxics are the line's that concern this stream now.
func (s *stream) toxics() *toxics {
	all := s.link.line.toxics.Load()
	if len(all.list) == 0 {
		return all
	}
	own := &toxics{changed: all.changed}
	for _, t := range all.list {
		if t.Stream == s.direction && s.link.concerns(t) {
			own.list = append(own.list, t)
		}
	}
	return own
}

// write deals with what the reader queued until its end.
func (s *stream) write() {
	defer close(s.done)
	for c := range s.queue {
		if c.end {
			s.hold(c.at, func(t *Toxic) time.Duration {
				if t.Type == "slow_close" {
					return t.millis("delay")
				}
				return 0
			})
			if s.silent() {
				s.link.lossy.Store(true)
			} else {
				_ = s.to.CloseWrite()
			}
		} else {
			s.deliver(c)
		}
		s.waiting.Add(-1)
	}
}

// deliver writes one chunk as the toxics want it.
func (s *stream) deliver(c chunk) {
	s.hold(c.at, func(t *Toxic) time.Duration {
		if t.Type == "latency" {
			return t.delay()
		}
		return 0
	})
	for rest := c.bytes; len(rest) > 0; {
		if s.silent() {
			s.link.lossy.Store(true)
			return
		}
		n, wait := s.portion(len(rest))
		if n == 0 {
			s.link.end() // limit_data
			return
		}
		if _, err := s.to.Write(rest[:n]); err != nil {
			s.link.reset()
			return
		}
		rest = rest[n:]
		s.hold(time.Now(), func(*Toxic) time.Duration { return wait })
	}
}

// silent says whether a toxic swallows everything.
func (s *stream) silent() bool {
	for _, t := range s.toxics().list {
		if t.Type == "timeout" {
			return true
		}
	}
	return false
}

// portion says how many of n bytes may pass now, and how long to wait then.
func (s *stream) portion(n int) (size int, wait time.Duration) {
	for _, t := range s.toxics().list {
		switch t.Type {
		case "slicer":
			n = min(n, t.slice())
			wait = max(wait, time.Duration(t.Attributes["delay"])*time.Microsecond)
		case "bandwidth":
			rate := max(1, t.Attributes["rate"]) * 1000 // bytes/s
			n = min(n, max(1, rate/20))
			wait = max(wait, time.Duration(n)*time.Second/time.Duration(rate))
		case "limit_data":
			n = min(n, t.Attributes["bytes"]-s.passed[t.Name])
			s.passed[t.Name] += n
		}
	}
	return max(n, 0), wait
}

// hold waits until the longest delay of any toxic has passed since at. When the
// toxics change it starts over with the new ones, and it ends with the link.
func (s *stream) hold(at time.Time, delay func(*Toxic) time.Duration) {
	for {
		set := s.toxics()
		longest := time.Duration(0)
		for _, t := range set.list {
			longest = max(longest, delay(t))
		}
		left := time.Until(at.Add(longest))
		if left <= 0 {
			return
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
			return
		case <-set.changed:
			timer.Stop()
		case <-s.link.gone:
			timer.Stop()
			return
		}
	}
}
