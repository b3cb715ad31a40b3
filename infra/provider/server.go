// Package provider is the simulated card provider: a process of its own with
// its own ledger, so that an audit can compare what the shop believes with what
// was charged. It also has the client for it.
package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
)

// HeaderKey carries the idempotency key, mandatory on every operation.
const HeaderKey = "Idempotency-Key"

// Bounds of a request.
const (
	maxKey  = 256
	maxBody = 4 << 10
)

// Options says where the provider listens and how badly it behaves. Rates are
// parts of all operations, 0 to 1.
type Options struct {
	Addr           string // host:port; port 0 takes a free one. Empty: 127.0.0.1:0
	Ledger         string // file; created when missing
	Latency        time.Duration
	DeclineRate    float64 // authorisations refused; the same key always the same way
	ErrorRate      float64 // answers 503 and does nothing
	ErrorAfterRate float64 // does it and answers 500
	LoseReplyRate  float64 // does it and drops the connection
	Logger         *slog.Logger
}

// Validate says what is wrong with o.
func (o Options) Validate() error {
	if _, _, err := net.SplitHostPort(o.Addr); o.Addr != "" && err != nil {
		return fmt.Errorf("provider: %q is not an address; write host:port", o.Addr)
	}
	if o.Ledger == "" {
		return errors.New("provider: no ledger; name a file with --ledger")
	}
	if o.Latency < 0 {
		return fmt.Errorf("provider: a latency of %s is negative", o.Latency)
	}
	for name, rate := range map[string]float64{"decline": o.DeclineRate, "error": o.ErrorRate,
		"error-after": o.ErrorAfterRate, "lose-reply": o.LoseReplyRate} {
		if !(rate >= 0 && rate <= 1) { // also refuses NaN
			return fmt.Errorf("provider: the %s rate is %v; write 0 to 1", name, rate)
		}
	}
	return nil
}

// Server is a running provider.
type Server struct {
	opts  Options
	book  *book
	http  *http.Server
	addr  net.Addr
	ended chan error
}

// Start loads the ledger and starts to serve.
func Start(ctx context.Context, o Options) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("provider: cannot listen on %s; choose another address with --addr: %w", o.Addr, err)
	}
	b, err := openBook(o.Ledger, o.DeclineRate)
	if err != nil {
		l.Close()
		return nil, err
	}
	s := &Server{opts: o, book: b, addr: l.Addr(), ended: make(chan error, 1)}
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
	go func() { s.ended <- s.http.Serve(l) }()
	return s, nil
}

// URL is the provider's base URL.
func (s *Server) URL() string { return "http://" + s.addr.String() }

// Stop lets running requests finish within five seconds and closes the ledger.
func (s *Server) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	if e := <-s.ended; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return errors.Join(err, s.book.close())
}

// Serve runs a provider until ctx ends and calls ready with its URL once it
// takes requests.
func Serve(ctx context.Context, o Options, ready func(url string)) error {
	s, err := Start(ctx, o)
	if err != nil {
		return err
	}
	ready(s.URL())
	select {
	case <-ctx.Done():
	case err := <-s.ended:
		s.ended <- err
	}
	return s.Stop()
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /authorise", s.operation(OpAuthorise))
	mux.HandleFunc("POST /capture", s.operation(OpCapture))
	mux.HandleFunc("POST /void", s.operation(OpVoid))
	mux.HandleFunc("GET /ledger", func(w http.ResponseWriter, _ *http.Request) {
		respond(w, http.StatusOK, Ledger{Entries: s.book.all()})
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.book.ledger.failure(); err != nil {
			respond(w, http.StatusServiceUnavailable, map[string]string{"status": err.Error()})
			return
		}
		respond(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	return mux
}

// operation serves one kind of request, with the misbehaviour asked for.
func (s *Server) operation(op Op) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		o, err := parse(w, r, op)
		if err != nil {
			refuse(w, err)
			return
		}
		if !wait(r.Context(), s.opts.Latency) {
			return
		}
		if hit(s.opts.ErrorRate) {
			refuse(w, fault.New(fault.Unavailable, "the provider is busy"))
			return
		}
		e, err := s.book.do(r.Context(), o)
		switch {
		case hit(s.opts.LoseReplyRate):
			panic(http.ErrAbortHandler) // closes the connection without an answer
		case hit(s.opts.ErrorAfterRate):
			refuse(w, fault.New(fault.Internal, "the provider stumbled"))
		case err != nil:
			refuse(w, err)
		case e.Declined:
			refuse(w, fault.New(fault.Declined, "the card was declined"))
		default:
			respond(w, http.StatusOK, receipt{Reference: e.Reference})
		}
	}
}

// body is what an operation sends; receipt what it gets; problem why not.
type (
	body struct {
		Amount    int64  `json:"amount,omitempty"`
		Currency  string `json:"currency,omitempty"`
		Reference string `json:"reference,omitempty"`
	}
	receipt struct {
		Reference string `json:"reference"`
	}
	problem struct {
		Code   fault.Code `json:"code"`
		Detail string     `json:"detail"`
	}
)

// Ledger is the answer of GET /ledger.
type Ledger struct {
	Entries []Entry `json:"entries"`
}

func parse(w http.ResponseWriter, r *http.Request, op Op) (order, error) {
	key := r.Header.Get(HeaderKey)
	if key == "" || len(key) > maxKey {
		return order{}, fault.New(fault.Invalid, "%s is mandatory and has 1 to %d characters", HeaderKey, maxKey)
	}
	var b body
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		return order{}, fault.Wrap(fault.Invalid, err, "the body is not the JSON of an operation")
	}
	o := order{op: op, key: key, reference: b.Reference, amount: b.Amount, currency: b.Currency}
	switch {
	case op == OpAuthorise && (o.amount <= 0 || len(o.currency) != 3 || o.reference != ""):
		return order{}, fault.New(fault.Invalid, "authorise takes an amount above 0 and a currency of three letters")
	case op != OpAuthorise && (o.reference == "" || o.amount != 0 || o.currency != ""):
		return order{}, fault.New(fault.Invalid, "%s takes the reference of an authorisation", op)
	}
	return o, nil
}

// statuses are the codes the provider speaks; the client reads them back.
var statuses = map[fault.Code]int{
	fault.Invalid:     http.StatusBadRequest,
	fault.Declined:    http.StatusPaymentRequired,
	fault.NotFound:    http.StatusNotFound,
	fault.Conflict:    http.StatusConflict,
	fault.KeyReused:   http.StatusUnprocessableEntity,
	fault.Unavailable: http.StatusServiceUnavailable,
}

func refuse(w http.ResponseWriter, err error) {
	code := fault.CodeOf(err)
	status, ok := statuses[code]
	if !ok {
		status = http.StatusInternalServerError
	}
	respond(w, status, problem{Code: code, Detail: fault.MessageOf(err)})
}

func respond(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller may be gone
}

// wait reports false when the caller left meanwhile.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func hit(rate float64) bool { return rate > 0 && rand.Float64() < rate }
