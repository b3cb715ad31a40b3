package middleware

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/kitmesh/kitmesh/services/fault"
)

// FaultHeader asks for a fault of one request, wherever in the mesh it meets the
// service it names:
//
//	X-Kitmesh-Fault: service=pricing,latency=200ms
//	X-Kitmesh-Fault: service=payments,error=unavailable
//	X-Kitmesh-Fault: service=catalog,error=internal,rate=0.5
//
// Rate is the share of the tries it happens to, 1 if it is left out: a mesh that
// repeats a try that failed is asked again. Instances obey it only where
// experiments are allowed.
const FaultHeader = "X-Kitmesh-Fault"

const faultKey = "x-kitmesh-fault"

// asked is what a request asks for.
type asked struct {
	text    string // as it travels
	service string
	faults  faultSettings
}

type askedContext struct{}

// asking is set where the header is read at all: elsewhere no call looks for it.
var asking atomic.Bool

func askedFrom(ctx context.Context) *asked {
	if !asking.Load() {
		return nil
	}
	a, _ := ctx.Value(askedContext{}).(*asked)
	return a
}

// parseAsked reads the header's value.
func parseAsked(text string) (*asked, error) {
	a := &asked{text: text, faults: faultSettings{rate: -1}}
	for item := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(item), "=")
		var err error
		switch name {
		case "service":
			a.service = value
		case "latency":
			if a.faults.latency, err = time.ParseDuration(value); a.faults.latency < 0 || a.faults.latency > maxLatency {
				err = fmt.Errorf("it is up to %v", maxLatency)
			}
		case "error":
			if a.faults.code = fault.Code(value); !slices.Contains(fault.Codes(), a.faults.code) {
				err = fmt.Errorf("use one of %v", fault.Codes())
			}
		case "rate":
			if a.faults.rate, err = strconv.ParseFloat(value, 64); !(a.faults.rate >= 0 && a.faults.rate <= 1) {
				err = fmt.Errorf("it is 0 to 1")
			}
		default:
			err = fmt.Errorf("use service, latency, error and rate")
		}
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "%s: %s=%q: %v", FaultHeader, name, value, err)
		}
	}
	if a.service == "" || a.faults.latency == 0 && a.faults.code == "" {
		return nil, fault.New(fault.Invalid, "%s names a service, and a latency or an error: service=pricing,latency=200ms", FaultHeader)
	}
	if a.faults.rate < 0 {
		a.faults.rate = 1
	}
	return a, nil
}

// AskFault reads the header of requests from outside; one that it cannot read is
// refused. It is for meshes that were started for experiments.
func AskFault(next http.Handler) http.Handler {
	asking.Store(true)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text := r.Header.Get(FaultHeader); text != "" {
			a, err := parseAsked(text)
			if err != nil {
				answer(w, http.StatusBadRequest, map[string]string{"error": fault.MessageOf(err)})
				return
			}
			r = r.WithContext(context.WithValue(r.Context(), askedContext{}, a))
		}
		next.ServeHTTP(w, r)
	})
}

// ReceiveFault takes what the caller's request asked for from the metadata of a
// call. It is for meshes that were started for experiments; the others ignore it.
func ReceiveFault() grpc.UnaryServerInterceptor {
	asking.Store(true)
	return func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		if text := lastOf(metadata.ValueFromIncomingContext(ctx, faultKey)); text != "" {
			if a, err := parseAsked(text); err == nil {
				ctx = context.WithValue(ctx, askedContext{}, a)
			}
		}
		return handle(ctx, request)
	}
}
