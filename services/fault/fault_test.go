package fault_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
	"time"

	"github.com/kitmesh/kitmesh/services/fault"
)

// verdicts states, for every code, what the rest of the mesh does about it.
var verdicts = map[fault.Code]struct{ retryable, blames bool }{
	fault.Invalid:          {false, false},
	fault.NotFound:         {false, false},
	fault.Conflict:         {false, false},
	fault.KeyReused:        {false, false},
	fault.Declined:         {false, false},
	fault.Denied:           {false, false},
	fault.Limited:          {false, false},
	fault.Overloaded:       {false, false},
	fault.Unavailable:      {true, true},
	fault.Deadline:         {false, true},
	fault.Canceled:         {false, false},
	fault.MethodNotAllowed: {false, false},
	fault.TooLarge:         {false, false},
	fault.UnsupportedMedia: {false, false},
	fault.Internal:         {true, true},
}

func TestVerdicts(t *testing.T) {
	if len(verdicts) != len(fault.Codes()) {
		t.Fatalf("the table has %d codes, fault has %d", len(verdicts), len(fault.Codes()))
	}
	for _, code := range fault.Codes() {
		want, ok := verdicts[code]
		if !ok {
			t.Errorf("%s: not in the table", code)
			continue
		}
		cause := errors.New("cause")
		for how, err := range map[string]error{
			"new":               fault.New(code, "sentence %d", 1),
			"wrapped cause":     fault.Wrap(code, cause, "sentence %d", 1),
			"wrapped by fmt":    fmt.Errorf("outer: %w", fault.New(code, "sentence 1")),
			"joined":            errors.Join(errors.New("other"), fault.New(code, "sentence 1")),
			"around a deadline": fault.Wrap(code, context.DeadlineExceeded, "sentence 1"),
			"around a fault":    fault.Wrap(code, fault.New(fault.Conflict, "inner"), "sentence 1"),
		} {
			if got := fault.CodeOf(err); got != code {
				t.Errorf("%s, %s: CodeOf = %q", code, how, got)
			}
			if got := fault.MessageOf(err); got != "sentence 1" {
				t.Errorf("%s, %s: MessageOf = %q", code, how, got)
			}
			if got := fault.Retryable(err); got != want.retryable {
				t.Errorf("%s, %s: Retryable = %t", code, how, got)
			}
			if got := fault.Blames(err); got != want.blames {
				t.Errorf("%s, %s: Blames = %t", code, how, got)
			}
		}
	}
}

func TestUncoded(t *testing.T) {
	const (
		deadline = "the deadline passed before the answer was ready"
		canceled = "the caller gave up"
		internal = "an internal error; the trace and the log have the detail"
	)
	for _, c := range []struct {
		err       error
		code      fault.Code
		message   string
		retryable bool
		blames    bool
	}{
		{errors.New("dial tcp 10.0.0.1: secret"), fault.Internal, internal, true, true},
		{context.DeadlineExceeded, fault.Deadline, deadline, false, true},
		{fmt.Errorf("outer: %w", context.DeadlineExceeded), fault.Deadline, deadline, false, true},
		{context.Canceled, fault.Canceled, canceled, false, false},
		{fmt.Errorf("outer: %w", context.Canceled), fault.Canceled, canceled, false, false},
	} {
		if got := fault.CodeOf(c.err); got != c.code {
			t.Errorf("CodeOf(%v) = %q, want %q", c.err, got, c.code)
		}
		if got := fault.MessageOf(c.err); got != c.message {
			t.Errorf("MessageOf(%v) = %q, want %q", c.err, got, c.message)
		}
		if got := fault.Retryable(c.err); got != c.retryable {
			t.Errorf("Retryable(%v) = %t", c.err, got)
		}
		if got := fault.Blames(c.err); got != c.blames {
			t.Errorf("Blames(%v) = %t", c.err, got)
		}
	}
	if fault.CodeOf(nil) != "" || fault.Retryable(nil) || fault.Blames(nil) || fault.RetryAfterOf(nil) != 0 {
		t.Error("nil is no failure")
	}
}

func TestCauseStaysInside(t *testing.T) {
	cause := errors.New("password is 1234")
	err := fault.Wrap(fault.Unavailable, cause, "the ledger is away")
	if !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
	if !strings.Contains(err.Error(), "1234") {
		t.Error("the log does not see the cause")
	}
	if strings.Contains(fault.MessageOf(err), "1234") {
		t.Error("the caller sees the cause")
	}
}

func TestRetryAfter(t *testing.T) {
	err := &fault.Error{Code: fault.Limited, Message: "slow down", RetryAfter: 3 * time.Second}
	for _, c := range []struct {
		err  error
		want time.Duration
	}{
		{err, 3 * time.Second},
		{fmt.Errorf("outer: %w", err), 3 * time.Second},
		{fault.New(fault.Limited, "slow down"), 0},
		{errors.New("other"), 0},
	} {
		if got := fault.RetryAfterOf(c.err); got != c.want {
			t.Errorf("RetryAfterOf(%v) = %s, want %s", c.err, got, c.want)
		}
	}
}

// A constant that Codes forgets would be missing from every table tested
// against it, so the constants are counted in the source.
func TestCodesIsComplete(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "fault.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Code" {
				declared += len(spec.Names)
			}
		}
		return true
	})
	seen := map[fault.Code]bool{}
	for _, code := range fault.Codes() {
		if seen[code] {
			t.Errorf("Codes has %s twice", code)
		}
		seen[code] = true
	}
	if declared == 0 || len(seen) != declared {
		t.Errorf("fault.go declares %d codes, Codes lists %d", declared, len(seen))
	}
}

func TestOrigin(t *testing.T) {
	own := fault.New(fault.Unavailable, "payments is away")
	if fault.OriginOf(own) != "" || !fault.Blames(own) || !fault.Failure(own) {
		t.Errorf("%v is the answerer's own failure", own)
	}
	passed := fault.From("payments", own)
	if fault.OriginOf(passed) != "payments" || fault.Blames(passed) || !fault.Failure(passed) || !fault.Retryable(passed) {
		t.Errorf("%v is held against whoever passes it on", passed)
	}
	if fault.CodeOf(passed) != fault.Unavailable || fault.MessageOf(passed) != fault.MessageOf(own) || !errors.Is(passed, own) {
		t.Errorf("From changed %v to %v", own, passed)
	}
	wrapped := fault.Wrap(fault.Unavailable, fmt.Errorf("place: %w", fault.From("orders", passed)), "try again")
	if fault.OriginOf(wrapped) != "payments" {
		t.Errorf("origin %q, want the deepest: payments", fault.OriginOf(wrapped))
	}
	if fault.From("payments", nil) != nil || fault.OriginOf(nil) != "" || fault.Blames(nil) {
		t.Error("nil has an origin")
	}
}

func TestSuccessCostsNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { _, _ = fault.CodeOf(nil), fault.Blames(nil) }); n != 0 {
		t.Errorf("asking about no error allocates %v times", n)
	}
}
