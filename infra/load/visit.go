package load

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	listingShare       = 0.1 // of browsing customers look at a listing
	statusClientClosed = 499 // "the caller left": says nothing about the effect
)

// visit is one planned request of one customer.
type visit struct {
	op       string // Browse or Checkout: the row of the result
	kind     string // product, listing, place or get: the operation of the history
	order    string // the id that get asks for
	probe    bool   // tests a promise; no sale of its own
	sku      string
	lines    []Line
	req      request
	intended time.Time
	counted  bool // false during the warm-up
}

// planner decides what each customer does. Only the dispatcher calls it, so a
// seed gives the same customers again (as far as stock levels, and with probes
// the answers so far, agree).
type planner struct {
	mix     Mix
	rng     *rand.Rand
	goods   *assortment
	keys    string // prefix of this run's idempotency keys, never seeded
	counter int
	probes  float64
	past    *past
}

func (p *planner) next() visit {
	probe := p.probes > 0 && p.rng.Float64() < p.probes
	if p.mix.pick(p.rng.Float64()) == Checkout {
		v := p.checkout()
		if probe {
			v = p.again(v)
		}
		if p.probes > 0 && !v.probe {
			p.past.placed(v)
		}
		return v
	}
	if probe {
		if told, ok := p.past.order(p.rng); ok {
			return reading(told.order)
		}
	}
	if p.rng.Float64() < listingShare {
		path := "/v1/products?page_size=" + strconv.Itoa(10+p.rng.IntN(20))
		return visit{op: Browse, kind: "listing", req: request{method: http.MethodGet, path: path}}
	}
	sku := p.goods.any(p.rng)
	path := "/v1/products/" + url.PathEscape(sku)
	return visit{op: Browse, kind: "product", sku: sku, req: request{method: http.MethodGet, path: path}}
}

func (p *planner) checkout() visit {
	p.counter++
	return placing(p.keys+strconv.Itoa(p.counter), p.goods.order(p.rng))
}

func placing(key string, lines []Line) visit {
	body, _ := json.Marshal(map[string][]Line{"lines": lines}) // strings and ints always marshal
	return visit{op: Checkout, kind: "place", lines: lines, req: request{
		method: http.MethodPost, path: "/v1/orders", key: key, body: body,
	}}
}

func reading(id string) visit {
	return visit{op: Browse, kind: "get", order: id, probe: true, req: request{
		method: http.MethodGet, path: "/v1/orders/" + url.PathEscape(id),
	}}
}

// Outcome is what is known of an operation's effect.
type Outcome string

// The outcomes. Info must never be read as "it did not happen".
const (
	OK   Outcome = "ok"   // acknowledged
	Fail Outcome = "fail" // provably without effect
	Info Outcome = "info" // unknown: a timeout, a reset, a 5xx after sending
)

// result is what came of a visit.
type result struct {
	visit    visit
	sent     time.Time
	done     time.Time
	late     bool
	status   int
	code     string // "" after success
	business bool   // a proper answer that is not a sale: sold out, declined
	partial  bool
	stock    *int // units a product page shows
	outcome  Outcome
	tries    int
	attempts int
	traceID  string
	order    order
}

func (r result) failed() bool { return r.code != "" && !r.business }

// perform makes the visit's request and judges the answer.
func (s *shop) perform(ctx context.Context, v visit, goods *assortment) result {
	res := result{visit: v, sent: time.Now()}
	got := s.send(ctx, v.req)
	res.done = time.Now()
	res.attempts = got.attempts
	res.tries = max(1, got.tries())
	res.status = got.status
	res.traceID = got.header.Get("X-Trace-Id")
	switch {
	case got.err != nil:
		res.status = 0
		res.code = got.errorCode()
		res.outcome = Info
		if got.attempts == 0 {
			res.outcome = Fail
		}
	case got.status >= 200 && got.status < 300:
		res.outcome = OK
		res.accept(got, goods)
	default:
		res.refuse(got)
	}
	return res
}

// accept looks into a 2xx: a page of something else is not a success.
func (r *result) accept(got reply, goods *assortment) {
	understood := false
	switch r.visit.kind {
	case "product":
		var page productPage
		understood = json.Unmarshal(got.body, &page) == nil && page.SKU == r.visit.sku
		r.partial = len(page.Partial) > 0
		r.stock = page.Available
		if understood && page.Available != nil && goods != nil {
			goods.saw(page.SKU, *page.Available)
		}
	case "listing":
		var page listing
		understood = json.Unmarshal(got.body, &page) == nil && len(page.Products) > 0
		r.partial = len(page.Partial) > 0
	default:
		understood = json.Unmarshal(got.body, &r.order) == nil && r.order.ID != "" &&
			(r.visit.order == "" || r.visit.order == r.order.ID)
	}
	if !understood {
		r.code = "malformed"
		r.outcome = Info
	}
}

// refuse judges any other status. After a second try the first may have had an
// effect that the last answer does not know of; the services behind the edge
// try again, too, so a limit at the last try says nothing of the first.
func (r *result) refuse(got reply) {
	r.code = got.problemCode()
	r.outcome = Info
	switch {
	case r.visit.op == Checkout && (got.status == http.StatusConflict || got.status == http.StatusPaymentRequired):
		r.business = true
		r.outcome = Fail
	case r.visit.probe && r.visit.op == Checkout && got.status == http.StatusUnprocessableEntity: // as promised
		r.business = true
		r.outcome = Fail
	case got.status < 500 && got.status != statusClientClosed && got.status != http.StatusTooManyRequests && r.tries == 1 && r.attempts <= 1:
		r.outcome = Fail
	}
}

// bodyHash tells two bodies under one key apart in the history.
func bodyHash(body []byte) string {
	if body == nil {
		return ""
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:8])
}
