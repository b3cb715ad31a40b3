package wiretest

import (
	"context"
	"errors"
	"math/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-kit/kit/endpoint"
	"google.golang.org/grpc"

	"github.com/kitmesh/kitmesh/services/fault"
	"github.com/kitmesh/kitmesh/transports/rpc"
)

// Plain is an endpoints.Wrapper that adds nothing.
func Plain(_ string, e endpoint.Endpoint) endpoint.Endpoint { return e }

// Fake is the service behind a contract suite: it remembers the last request
// and the names it passed by, and answers as told.
type Fake struct {
	mu       sync.Mutex
	seen     any
	names    []string
	response any
	err      error
}

// Method is the fake's own endpoint of the named method, such as "Get".
func (f *Fake) Method(name string) endpoint.Endpoint {
	return func(_ context.Context, request any) (any, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.seen, f.names = request, append(f.names, name)
		return f.response, f.err
	}
}

// Wrap is an endpoints.Wrapper that notes the name it was called with.
func (f *Fake) Wrap(method string, e endpoint.Endpoint) endpoint.Endpoint {
	return func(ctx context.Context, request any) (any, error) {
		f.note(method)
		return e(ctx, request)
	}
}

// Direct is rpc.Direct that notes the name it was called with.
func (f *Fake) Direct(conn grpc.ClientConnInterface) rpc.Dialer {
	return func(method string, dial func(grpc.ClientConnInterface) endpoint.Endpoint) endpoint.Endpoint {
		return f.Wrap(method, dial(conn))
	}
}

func (f *Fake) note(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.names = append(f.names, name)
}

// Answer sets what the next calls return.
func (f *Fake) Answer(response any, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen, f.names, f.response, f.err = nil, nil, response, err
}

// Seen returns the last request since Answer, nil if there was none, and the
// names that it passed by: those of rings and the fake's own, last.
func (f *Fake) Seen() (request any, names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen, f.names
}

// Method runs one method's contract over whatever call goes through: requests
// and responses arrive unchanged, faults with their code, message and earliest
// retry, and errors without a code are hidden. The method is named like
// "catalog.Get", as the rings must be.
func Method[Req, Resp any](t *testing.T, fake *Fake, method string, call func(context.Context, Req) (Resp, error)) {
	t.Helper()
	service, name, _ := strings.Cut(method, ".")
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
			seen, names := fake.Seen()
			if !Equal(seen, req) {
				t.Fatalf("request arrives as\n%+v, want\n%+v", seen, req)
			}
			own := names[len(names)-1]
			for _, ring := range names[:len(names)-1] {
				if ring != service+"."+name {
					t.Fatalf("a ring is named %q, want %q", ring, service+"."+name)
				}
			}
			if own != name || len(names) < 2 {
				t.Fatalf("arrives at %q, want %q", names, name)
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
