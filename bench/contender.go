package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	service = "catalog"
	sku     = "tea"
	// deadline is what every caller gives every call: it costs raw gRPC the
	// same allocations as everybody else.
	deadline = time.Second
)

// op is one call of catalog.Get, answered with the product's SKU.
type op func(ctx context.Context) (sku string, err error)

// contender is one way to call.
type contender struct {
	name string // of its bench line
	what string // in words, for the table
	call op
	stop func()
}

// field is everything that takes part in a run.
type field struct {
	servers    *fleet
	raw        contender
	contenders []contender
}

// entrants are all contenders by the names of their bench lines.
var entrants = []struct {
	name string
	make func(*fleet, string) (contender, error)
}{
	{"raw_again", rawAgain},
	{"raw_windows", rawWindows},
	{"kitmesh_client", kitmeshClient},
	{"kitmesh_both_0pct", kitmeshBoth(0)},
	{"kitmesh_both_1pct", kitmeshBoth(0.01)},
	{"kitmesh_both_100pct", kitmeshBoth(1)},
	{"gokit_client", gokitClient},
	{"gokit_both_0pct", gokitBoth(0)},
	{"gokit_both", gokitBoth(0.01)},
	{"gokit_both_100pct", gokitBoth(1)},
	{"kratos_client", kratosClient},
	{"gozero_client", gozeroClient},
}

// line brings up all contenders, or the one of that name beside raw gRPC.
func line(f *fleet, only string) (*field, error) {
	raw, err := newRaw(f, "raw")
	if err != nil {
		return nil, err
	}
	l := &field{servers: f, raw: raw}
	for _, m := range entrants {
		if only != "" && m.name != only {
			continue
		}
		c, err := m.make(f, m.name)
		if err != nil {
			l.close()
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		l.contenders = append(l.contenders, c)
	}
	if len(l.contenders) == 0 && only != sidecarsArg { // which are no contenders of raw gRPC
		l.close()
		return nil, fmt.Errorf("no contender is called %q", only)
	}
	for _, c := range append(slices.Clone(l.contenders), l.raw) {
		if err := c.warm(); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

func (l *field) close() {
	for _, c := range append(l.contenders, l.raw) {
		if c.stop != nil {
			c.stop()
		}
	}
	*l = field{}
}

// warmCalls are enough to connect to all servers and to grow what grows with use.
const warmCalls = 600

// warm connects to all servers and checks the answer.
func (c contender) warm() error {
	for n := range warmCalls {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		got, err := c.call(ctx)
		cancel()
		if err == nil && got != sku {
			err = fmt.Errorf("answered %q, want %q", got, sku)
		}
		if err != nil {
			return fmt.Errorf("%s: call %d: %w", c.name, n+1, err)
		}
	}
	return nil
}

// closers ends what a contender opened, last first.
type closers []func() error

func (c *closers) add(f func() error) { *c = append(*c, f) }

func (c *closers) close() {
	var errs []error
	for _, f := range slices.Backward(*c) {
		errs = append(errs, f())
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Println("closing:", err)
	}
}
