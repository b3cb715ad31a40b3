package load

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const ample = 20 * time.Second

func mustRun(t *testing.T, o Options) Result {
	t.Helper()
	// A busy test machine is not the subject where no deadline is.
	setDefault(&o.BrowseDeadline, ample)
	setDefault(&o.CheckoutDeadline, ample)
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func browseOnly() Mix   { return Mix{{Browse, 1}} }
func checkoutOnly() Mix { return Mix{{Checkout, 1}} }

func TestRunCountsWhatTheShopAnswered(t *testing.T) {
	shop := newFakeShop(t)
	r := mustRun(t, Options{URL: shop.URL + "/", Rate: 200, Duration: time.Second, Seed: 1})
	if r.Requests != 200 {
		t.Errorf("%d requests at 200/s for 1s", r.Requests)
	}
	if r.Success != 1 || len(r.Failures) != 0 || r.TriesPerRequest != 1 {
		t.Errorf("success %v, failures %v, tries %v", r.Success, r.Failures, r.TriesPerRequest)
	}
	if got := r.ByOp[Browse].Requests + r.ByOp[Checkout].Requests; got != 200 {
		t.Errorf("the ops add up to %d", got)
	}
	if r.Orders == 0 || int(r.Orders) != len(shop.orders) {
		t.Errorf("%d orders counted, the shop has %d", r.Orders, len(shop.orders))
	}
	for key, n := range shop.keys {
		if n != 1 || key == "" {
			t.Errorf("key %q used %d times", key, n)
		}
	}
	if n := shop.ordered["limited-4"]; n != 0 {
		t.Errorf("%d units of a limited product ordered unasked", n)
	}
}

// A shop that stalls once for 400 ms delays every request due in that time. A
// closed loop would have seen one slow request; the open loop sees them all.
func TestStallShowsInEveryRequestThatWasDue(t *testing.T) {
	shop := newFakeShop(t)
	const stall = 400 * time.Millisecond
	var first sync.Once
	var until atomic.Int64
	shop.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if isProduct(r) {
			first.Do(func() { until.Store(time.Now().Add(stall).UnixNano()) })
			time.Sleep(time.Until(time.Unix(0, until.Load())))
		}
		return false
	}
	r := mustRun(t, Options{URL: shop.URL, Rate: 200, Duration: time.Second, Mix: browseOnly(), Seed: 3})
	if r.Requests != 200 || r.Success != 1 {
		t.Fatalf("requests %d, success %v", r.Requests, r.Success)
	}
	// 40 % of the schedule falls into the stall and waits 200 ms on average.
	if r.Max < 350 || r.P90 < 200 {
		t.Errorf("p90 %.0f ms, max %.0f ms hide a stall of 400 ms", r.P90, r.Max)
	}
}

// With one slot only, requests queue in the generator: they must be called
// late, and their waiting must count.
func TestQueueInTheGeneratorCounts(t *testing.T) {
	shop := newFakeShop(t)
	shop.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if isProduct(r) {
			time.Sleep(50 * time.Millisecond)
		}
		return false
	}
	r := mustRun(t, Options{
		URL: shop.URL, Rate: 100, Duration: time.Second, Mix: browseOnly(), Seed: 1, MaxInFlight: 1, BrowseDeadline: 300 * time.Millisecond,
	})
	if r.Requests != 100 {
		t.Errorf("%d of 100 requests accounted for", r.Requests)
	}
	if r.Late < 50 || !r.Inconclusive() {
		t.Errorf("%d late of %d", r.Late, r.Requests)
	}
	if r.Success > 0.5 {
		t.Errorf("success %v: requests without a slot in time count as served", r.Success)
	}
	if r.P99 < 250 {
		t.Errorf("p99 %.0f ms does not show the queue", r.P99)
	}
}

func TestRequestWithoutSlotIsNotSent(t *testing.T) {
	g := newGenerator(Options{MaxInFlight: 1, Mix: browseOnly()}, nil, nil)
	timer := time.NewTimer(0)
	if _, ok := g.slot(timer, time.Now().Add(-time.Millisecond)); ok {
		t.Error("sent after its deadline")
	}
	proc, ok := g.slot(timer, time.Now().Add(time.Minute))
	if !ok {
		t.Fatal("no slot in an idle generator")
	}
	if _, ok := g.slot(timer, time.Now().Add(20*time.Millisecond)); ok {
		t.Error("two requests in one slot")
	}
	g.slots <- proc
	g.notSent(visit{op: Browse, counted: true, intended: time.Now()})
	if r := g.recorder.result(); r.Failures["not_sent"] != 1 || r.Late != 1 {
		t.Errorf("failures %v, late %d", r.Failures, r.Late)
	}
}

func TestFailuresByCode(t *testing.T) {
	tests := []struct {
		name     string
		before   func(http.ResponseWriter, *http.Request) bool
		mix      Mix
		code     string
		business bool
		outcome  Outcome
	}{
		{"problem", func(w http.ResponseWriter, _ *http.Request) bool { problem(w, 503, "unavailable"); return true }, checkoutOnly(), "unavailable", false, Info},
		{"bad request", func(w http.ResponseWriter, _ *http.Request) bool { problem(w, 400, "invalid"); return true }, checkoutOnly(), "invalid", false, Fail},
		{"bad request after a second try", func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set(TriesHeader, "2")
			problem(w, 400, "invalid")
			return true
		}, checkoutOnly(), "invalid", false, Info},
		{"no problem document", func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(502); return true }, browseOnly(), "http_502", false, Info},
		{"sold out", func(w http.ResponseWriter, _ *http.Request) bool { problem(w, 409, "conflict"); return true }, checkoutOnly(), "conflict", true, Fail},
		{"declined", func(w http.ResponseWriter, _ *http.Request) bool { problem(w, 402, "declined"); return true }, checkoutOnly(), "declined", true, Fail},
		{"conflict of a page", func(w http.ResponseWriter, _ *http.Request) bool { problem(w, 409, "conflict"); return true }, browseOnly(), "conflict", false, Fail},
		{"reset", func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, checkoutOnly(), "reset", false, Info},
		{"timeout", func(_ http.ResponseWriter, r *http.Request) bool {
			_, _ = io.Copy(io.Discard, r.Body) // only then the server notices that the client left
			<-r.Context().Done()
			return true
		}, checkoutOnly(), "timeout", false, Info},
		{"nonsense", func(w http.ResponseWriter, _ *http.Request) bool { write(w, 200, "hello"); return true }, checkoutOnly(), "malformed", false, Info},
		{"another product", func(w http.ResponseWriter, _ *http.Request) bool {
			write(w, 200, map[string]string{"sku": "x"})
			return true
		}, browseOnly(), "malformed", false, Info},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			shop := newFakeShop(t)
			shop.before = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Query().Get("page_size") == "100" { // the assortment itself
					return false
				}
				return tt.before(w, r)
			}
			deadline := ample
			if tt.code == "timeout" {
				deadline = 300 * time.Millisecond
			}
			var lines bytes.Buffer
			r := mustRun(t, Options{
				URL: shop.URL, Rate: 50, Duration: 100 * time.Millisecond, Mix: tt.mix, Seed: 5,
				CheckoutDeadline: deadline, History: &lines,
			})
			bucket, success := r.Failures, 0.0
			if tt.business {
				bucket, success = r.Business, 1
			}
			if bucket[tt.code] != r.Requests || r.Success != success {
				t.Errorf("failures %v, business %v, success %v of %d", r.Failures, r.Business, r.Success, r.Requests)
			}
			h, err := ReadHistory(&lines)
			if err != nil || len(h.Ops) != int(r.Requests) {
				t.Fatalf("%d operations of %d: %v", len(h.Ops), r.Requests, err)
			}
			for _, op := range h.Ops {
				if op.Outcome != tt.outcome || op.Code != tt.code {
					t.Errorf("outcome %q code %q, want %q %q", op.Outcome, op.Code, tt.outcome, tt.code)
				}
			}
		})
	}
}

// Nothing listens: provably nothing happened.
func TestRefusedConnectionsAreFail(t *testing.T) {
	shop := newFakeShop(t)
	var lines bytes.Buffer
	s := newShop(shop.URL, 1)
	defer s.close()
	shop.Close()
	got := s.perform(t.Context(), visit{op: Checkout, kind: "place", req: request{method: "POST", path: "/v1/orders"}}, nil)
	if got.code != "connect" || got.outcome != Fail {
		t.Errorf("code %q outcome %q %s", got.code, got.outcome, lines.String())
	}
}

func TestPartialPagesAreSuccesses(t *testing.T) {
	shop := newFakeShop(t)
	shop.before = func(w http.ResponseWriter, r *http.Request) bool {
		if isProduct(r) {
			w.Header().Set(TriesHeader, "2")
			write(w, 200, map[string]any{"sku": strings.TrimPrefix(r.URL.Path, "/v1/products/"), "partial": []string{"stock"}})
			return true
		}
		return false
	}
	r := mustRun(t, Options{URL: shop.URL, Rate: 100, Duration: 300 * time.Millisecond, Mix: browseOnly(), Seed: 8})
	if r.Success != 1 || r.Partial == 0 || r.TriesPerRequest <= 1.5 {
		t.Errorf("success %v partial %d tries %v", r.Success, r.Partial, r.TriesPerRequest)
	}
}

func TestSoldOutProductsAreAvoidedOnceSeen(t *testing.T) {
	a := newAssortment([]string{"a", "b", "limited-c", "d", "e", "f", "a"}, false)
	a.saw("a", 0)
	p := &planner{mix: checkoutOnly(), goods: a, rng: (&generator{}).testRand(1)}
	sold := 0
	for range 200 {
		for _, l := range p.next().lines {
			if l.SKU == "limited-c" || l.Quantity < 1 || l.Quantity > 3 {
				t.Fatalf("ordered %+v", l)
			}
			if l.SKU == "a" {
				sold++
			}
		}
	}
	if sold > 2 {
		t.Errorf("a sold out product is in %d of 200 orders", sold)
	}
	a.saw("a", 5)
	if a.isSoldOut("a") {
		t.Error("restocked, still avoided")
	}
}

func TestHistoryOfAMixedRun(t *testing.T) {
	shop := newFakeShop(t)
	var lines bytes.Buffer
	r := mustRun(t, Options{URL: shop.URL, Rate: 200, Duration: 500 * time.Millisecond, Seed: 2, History: &lines})
	h, err := ReadHistory(&lines)
	ops := h.Ops
	if err != nil || !h.Whole || len(ops) != int(r.Requests) {
		t.Fatalf("%d operations of %d: %v", len(ops), r.Requests, err)
	}
	busy := map[int]int64{}
	for _, op := range ops {
		if op.Return < op.Call || op.Outcome != OK || op.TraceID == "" || op.Attempt != 1 {
			t.Errorf("bad operation %+v", op)
		}
		if op.Op == "place" && (op.IdemKey == "" || op.BodyHash == "" || op.OrderID == "" || op.Amount != 4200 || len(op.Lines) == 0) {
			t.Errorf("bad order %+v", op)
		}
		if op.Call < busy[op.Proc] {
			t.Errorf("proc %d did two things at once", op.Proc)
		}
		busy[op.Proc] = op.Return
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestHistoryThatCannotBeWrittenFailsTheRun(t *testing.T) {
	shop := newFakeShop(t)
	_, err := Run(t.Context(), Options{URL: shop.URL, Rate: 50, Duration: 100 * time.Millisecond, History: brokenWriter{}})
	if err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("error %v", err)
	}
}

func TestEndlessRunEndsWithTheContext(t *testing.T) {
	shop := newFakeShop(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var ticks atomic.Int32
	r, err := Run(ctx, Options{URL: shop.URL, Rate: 100, BrowseDeadline: ample, CheckoutDeadline: ample, Tick: func(tick Tick) {
		if ticks.Add(1); tick.TotalRequests > 0 && tick.String() != "" {
			cancel()
		}
	}})
	if err != nil || !r.Stopped || r.Requests == 0 || r.Success != 1 {
		t.Errorf("err %v, result %+v", err, r)
	}
}

func TestRunWaitsForTheShop(t *testing.T) {
	shop := newFakeShop(t)
	var asked atomic.Int32
	shop.before = func(w http.ResponseWriter, _ *http.Request) bool {
		if asked.Add(1) <= 2 {
			problem(w, 503, "unavailable")
			return true
		}
		return false
	}
	if r := mustRun(t, Options{URL: shop.URL, Rate: 50, Duration: 100 * time.Millisecond, Wait: 10 * time.Second}); r.Success != 1 || r.Requests != 5 {
		t.Errorf("%+v", r)
	}
	shop.before = func(w http.ResponseWriter, _ *http.Request) bool { problem(w, 503, "unavailable"); return true }
	_, err := Run(t.Context(), Options{URL: shop.URL, Duration: time.Second, Wait: 50 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "503 unavailable") {
		t.Errorf("a shop that never answers gave %v", err)
	}
}

func TestWarmupIsSentButNotCounted(t *testing.T) {
	shop := newFakeShop(t)
	var seen atomic.Int32
	shop.before = func(_ http.ResponseWriter, r *http.Request) bool { seen.Add(1); return false }
	r := mustRun(t, Options{URL: shop.URL, Rate: 100, Warmup: 300 * time.Millisecond, Duration: 200 * time.Millisecond})
	if r.Requests != 20 || seen.Load() < 50 {
		t.Errorf("%d counted, %d sent", r.Requests, seen.Load())
	}
}

func TestVerifyOrders(t *testing.T) {
	run := func(t *testing.T, change func(*fakeShop)) *Verification {
		shop := newFakeShop(t)
		change(shop)
		r := mustRun(t, Options{URL: shop.URL, Rate: 50, Duration: 200 * time.Millisecond, Mix: checkoutOnly(), VerifyOrders: true})
		return r.Verification
	}
	if v := run(t, func(*fakeShop) {}); !v.Held() || v.Verified != 10 || v.Acknowledged != 10 {
		t.Errorf("a good shop: %s", v)
	}
	if v := run(t, func(f *fakeShop) { f.sameID = true }); v.Held() || len(v.Shared) != 9 {
		t.Errorf("one order for all keys: %s", v)
	}
	if v := run(t, func(f *fakeShop) {
		f.before = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodGet {
				f.mu.Lock()
				defer f.mu.Unlock()
				if o, ok := f.orders["o-3"]; ok {
					o.Total.Amount = 1
					f.orders["o-3"] = o
				}
			}
			return false
		}
	}); v.Held() || len(v.Changed) != 1 || !strings.Contains(v.String(), "o-3") {
		t.Errorf("another total: %s", v)
	}
}

func TestLostOrderIsFound(t *testing.T) {
	shop := newFakeShop(t)
	s := newShop(shop.URL, 1)
	defer s.close()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if got := check(ctx, s, nil, 0, "o-99", acknowledged{}); got != missing {
		t.Errorf("verdict %v", got)
	}
}

func TestEachAnswerIsShownWithItsTime(t *testing.T) {
	shop := newFakeShop(t)
	shop.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			problem(w, 503, "unavailable")
		}
		return r.Method == http.MethodPost
	}
	var mu sync.Mutex
	var start time.Time
	var answers []Answer
	r := mustRun(t, Options{
		URL: shop.URL, Rate: 100, Warmup: 100 * time.Millisecond, Duration: 400 * time.Millisecond, Seed: 3,
		Begin: func(at time.Time) { start = at },
		Each:  func(a Answer) { mu.Lock(); answers = append(answers, a); mu.Unlock() },
	})
	if len(answers) != 50 || r.Requests != 40 {
		t.Fatalf("%d answers shown, %d counted; want the warm-up's 10 too", len(answers), r.Requests)
	}
	due := map[time.Duration]bool{}
	for _, a := range answers {
		due[a.Intended.Sub(start)] = true
		if a.Failed != (a.Op == Checkout) || a.Failed && (a.Code != "unavailable" || a.Status != 503) || a.Tries != 1 || a.Done.Before(a.Intended) {
			t.Errorf("%+v", a)
		}
	}
	if len(due) != 50 || !due[0] || !due[490*time.Millisecond] {
		t.Errorf("due at %v", due)
	}
}
