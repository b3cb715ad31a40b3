package proxy

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
)

// Version is what GET /version says: the one of Toxiproxy whose API this is.
const Version = "2.12.0"

// maxLines bounds what one proxy is asked to hold.
const maxLines = 2048

// Proxy is a set of lines and the API that governs them. It is safe for
// concurrent use.
type Proxy struct {
	mu    sync.Mutex
	lines map[string]*line
}

// New returns a Proxy without lines.
func New() *Proxy { return &Proxy{lines: map[string]*line{}} }

// Close resets every connection and ends every line.
func (p *Proxy) Close() {
	p.mu.Lock()
	lines := slices.Collect(maps.Values(p.lines))
	p.lines = map[string]*line{}
	p.mu.Unlock()
	for _, l := range lines {
		l.close()
	}
}

var errNoLine = errors.New("there is no such line")

func (p *Proxy) line(name string) (*line, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.lines[name]; l != nil {
		return l, nil
	}
	return nil, errNoLine
}

// Add makes a line, with its toxics.
func (p *Proxy) Add(c Config) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case c.Name == "" || c.Upstream == "":
		return errors.New("a line has a name and an upstream")
	case p.lines[c.Name] != nil:
		return errExists
	case len(p.lines) >= maxLines:
		return fmt.Errorf("there are %d lines already", maxLines)
	}
	c.Listen = cmp.Or(c.Listen, "127.0.0.1:0")
	l, err := newLine(c)
	if err != nil {
		return err
	}
	for _, t := range c.Toxics {
		if err := l.addToxic(t); err != nil {
			l.close()
			return err
		}
	}
	p.lines[c.Name] = l
	return nil
}

// Populate makes the lines that are not there and aims those that are; their
// toxics stay.
func (p *Proxy) Populate(lines []Config) error {
	for _, c := range lines {
		l, err := p.line(c.Name)
		if err != nil {
			err = p.Add(c)
		} else {
			err = l.update(c)
		}
		if err != nil {
			return fmt.Errorf("line %s: %w", c.Name, err)
		}
	}
	return nil
}

// update follows the fields that are set; a line keeps its address.
func (l *line) update(c Config) error {
	if c.Upstream != "" {
		l.aim(c.Upstream)
	}
	switch {
	case c.Enabled == nil:
		return nil
	case *c.Enabled:
		return l.enable()
	}
	l.disable()
	return nil
}

// Handler serves Toxiproxy's API: /proxies, /proxies/NAME, /proxies/NAME/toxics,
// /proxies/NAME/toxics/TOXIC, /populate, /reset and /version.
func (p *Proxy) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"version": Version})
	})
	mux.HandleFunc("GET /proxies", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, p.all()) })
	mux.HandleFunc("POST /proxies", func(w http.ResponseWriter, r *http.Request) {
		var c Config
		err := decode(w, r, &c)
		if err == nil {
			err = p.Add(c)
		}
		p.replyLine(w, http.StatusCreated, c.Name, err)
	})
	mux.HandleFunc("POST /populate", p.populate)
	mux.HandleFunc("POST /reset", p.reset)
	mux.HandleFunc("GET /proxies/{line}", func(w http.ResponseWriter, r *http.Request) {
		p.replyLine(w, http.StatusOK, r.PathValue("line"), nil)
	})
	for _, method := range []string{"POST", "PATCH"} {
		mux.HandleFunc(method+" /proxies/{line}", p.updateLine)
		mux.HandleFunc(method+" /proxies/{line}/toxics/{toxic}", p.updateToxic)
	}
	mux.HandleFunc("DELETE /proxies/{line}", p.removeLine)
	mux.HandleFunc("GET /proxies/{line}/toxics", p.withLine(func(w http.ResponseWriter, _ *http.Request, l *line) error {
		reply(w, http.StatusOK, l.config().Toxics)
		return nil
	}))
	mux.HandleFunc("POST /proxies/{line}/toxics", p.withLine(func(w http.ResponseWriter, r *http.Request, l *line) error {
		var t Toxic
		if err := decode(w, r, &t); err != nil {
			return err
		}
		if err := l.addToxic(&t); err != nil {
			return err
		}
		reply(w, http.StatusOK, t)
		return nil
	}))
	mux.HandleFunc("GET /proxies/{line}/toxics/{toxic}", p.withLine(func(w http.ResponseWriter, r *http.Request, l *line) error {
		set := l.toxics.Load()
		i := set.index(r.PathValue("toxic"))
		if i < 0 {
			return errNoToxic
		}
		reply(w, http.StatusOK, set.list[i])
		return nil
	}))
	mux.HandleFunc("DELETE /proxies/{line}/toxics/{toxic}", p.withLine(func(w http.ResponseWriter, r *http.Request, l *line) error {
		if err := l.removeToxic(r.PathValue("toxic")); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}))
	return mux
}

func (p *Proxy) all() map[string]Config {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string]Config{}
	for name, l := range p.lines {
		all[name] = l.config()
	}
	return all
}

func (p *Proxy) populate(w http.ResponseWriter, r *http.Request) {
	var lines []Config
	err := decode(w, r, &lines)
	if err == nil {
		err = p.Populate(lines)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	made := []Config{}
	for _, c := range lines {
		if l, err := p.line(c.Name); err == nil {
			made = append(made, l.config())
		}
	}
	reply(w, http.StatusCreated, map[string]any{"proxies": made})
}

func (p *Proxy) reset(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	lines := slices.Collect(maps.Values(p.lines))
	p.mu.Unlock()
	var errs []error
	for _, l := range lines {
		errs = append(errs, l.heal())
	}
	if err := errors.Join(errs...); err != nil {
		refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (p *Proxy) updateLine(w http.ResponseWriter, r *http.Request) {
	var c Config
	l, err := p.line(r.PathValue("line"))
	if err == nil {
		err = decode(w, r, &c)
	}
	if err == nil {
		err = l.update(c)
	}
	p.replyLine(w, http.StatusOK, r.PathValue("line"), err)
}

func (p *Proxy) removeLine(w http.ResponseWriter, r *http.Request) {
	l, err := p.line(r.PathValue("line"))
	if err != nil {
		refuse(w, err)
		return
	}
	p.mu.Lock()
	delete(p.lines, l.name)
	p.mu.Unlock()
	l.close()
	w.WriteHeader(http.StatusNoContent)
}

func (p *Proxy) updateToxic(w http.ResponseWriter, r *http.Request) {
	p.withLine(func(w http.ResponseWriter, r *http.Request, l *line) error {
		var with Toxic
		if err := decode(w, r, &with); err != nil {
			return err
		}
		t, err := l.updateToxic(r.PathValue("toxic"), with)
		if err == nil {
			reply(w, http.StatusOK, t)
		}
		return err
	})(w, r)
}

func (p *Proxy) withLine(do func(w http.ResponseWriter, r *http.Request, l *line) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		l, err := p.line(r.PathValue("line"))
		if err == nil {
			err = do(w, r, l)
		}
		if err != nil {
			refuse(w, err)
		}
	}
}

func (p *Proxy) replyLine(w http.ResponseWriter, status int, name string, err error) {
	var l *line
	if err == nil {
		l, err = p.line(name)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, status, l.config())
}

func decode(w http.ResponseWriter, r *http.Request, v any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client left
}

func refuse(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	switch {
	case errors.Is(err, errNoLine), errors.Is(err, errNoToxic):
		status = http.StatusNotFound
	case errors.Is(err, errExists):
		status = http.StatusConflict
	}
	reply(w, status, map[string]any{"error": err.Error(), "status": status})
}
