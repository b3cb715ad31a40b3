package wiretest

import (
	"context"
	"errors"
	"math/rand"
	"sync"
	"testing"
	"time"

	"github.com/go-kit/kit/endpoint"

	"github.com/kitmesh/kitmesh/services/fault"
)

// Plain is an endpoints.Wrapper that adds nothing.
func Plain(_ string, e endpoint.Endpoint) endpoint.Endpoint { return e }

// Fake is the service behind a contract suite: it remembers the last request
// and answers as told.
type Fake struct {
	mu       sync.Mutex
	seen     any
	response any
	err      error
}

// Endpoint is every endpoint of the fake.
func (f *Fake) Endpoint(_ context.Context, request any) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = request
	return f.response, f.err
}

// Answer sets what the next calls return.
func (f *Fake) Answer(response any, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen, f.response, f.err = nil, response, err
}

// Seen returns the last request since Answer, nil if there was none.
func (f *Fake) Seen() any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

// Method runs one method's contract over whatever call goes through: requests
// and responses arrive unchanged, faults with their code, message and earliest
// retry, and errors without a code are hidden.
func Method[Req, Resp any](t *testing.T, fake *Fake, name string, call func(context.Context, Req) (Resp, error)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		r := rand.New(rand.NewSource(1))
		for range 25 {
			req, want := Random[Req](r), Random[Resp](r)
			fake.Answer(want, nil)
			got, err := call(ctx, req)
			if err != nil {
				t.Fatalf("%+v fails: %v", req, err)
			}
			if seen := fake.Seen(); !Equal(seen, req) {
				t.Fatalf("request arrives as\n%+v, want\n%+v", seen, req)
			}
			if !Equal(got, want) {
				t.Fatalf("response arrives as\n%+v, want\n%+v", got, want)
			}
		}
		for _, code := range fault.Codes() {
			sameFault(t, fake, &fault.Error{Code: code, Message: "because of " + string(code), RetryAfter: 2 * time.Second}, func() error {
				_, err := call(ctx, Random[Req](r))
				return err
			})
		}
		sameFault(t, fake, errors.New("secret: 10.0.0.1 is down"), func() error {
			_, err := call(ctx, Random[Req](r))
			return err
		})
	})
}

func sameFault(t *testing.T, fake *Fake, want error, call func() error) {
	t.Helper()
	var none any
	fake.Answer(none, want)
	err := call()
	if err == nil {
		t.Fatalf("no error, want %v", want)
	}
	if got, want := fault.CodeOf(err), fault.CodeOf(want); got != want {
		t.Errorf("code %q, want %q (%v)", got, want, err)
	}
	if got, want := fault.MessageOf(err), fault.MessageOf(want); got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	if got, want := fault.RetryAfterOf(err), fault.RetryAfterOf(want); got != want {
		t.Errorf("%s: retry after %s, want %s", fault.CodeOf(err), got, want)
	}
}
