package middleware_test

import (
	"context"
	"errors"
	"testing"

	"github.com/kitmesh/kitmesh/middleware"
)

func TestStaleServesTheLastGoodAnswer(t *testing.T) {
	down := errors.New("down")
	answer, failure := any("fresh"), error(nil)
	s := middleware.NewStale(2)
	e := s.Remember(func(context.Context, any) (any, error) { return answer, failure })

	if _, err := s.Fallback(t.Context(), "tea", down); !errors.Is(err, down) {
		t.Fatalf("nothing remembered: %v, want the failure", err)
	}
	if _, err := e(t.Context(), "tea"); err != nil {
		t.Fatal(err)
	}
	answer = "newer"
	if _, err := e(t.Context(), "tea"); err != nil {
		t.Fatal(err)
	}
	failure = down
	if _, err := e(t.Context(), "tea"); !errors.Is(err, down) {
		t.Fatalf("Remember hid a failure: %v", err)
	}
	if got, err := s.Fallback(t.Context(), "tea", down); err != nil || got != "newer" {
		t.Fatalf("Fallback: %v, %v", got, err)
	}
}

func TestStaleIsBounded(t *testing.T) {
	s := middleware.NewStale(3)
	e := s.Remember(func(_ context.Context, request any) (any, error) { return request, nil })
	for i := range 100 {
		if _, err := e(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	kept := 0
	for i := range 100 {
		if _, err := s.Fallback(t.Context(), i, errors.New("gone")); err == nil {
			kept++
		}
	}
	if kept != 3 {
		t.Fatalf("%d answers kept, want 3", kept)
	}
	if got, err := s.Fallback(t.Context(), 99, errors.New("gone")); err != nil || got != 99 {
		t.Fatalf("the newest answer is gone: %v, %v", got, err)
	}
}
