package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

var _ Hirer = (*Local)(nil)

// Hire starts an instance that Scale does not count.
func (l *Local) Hire(ctx context.Context, h Hire) (string, error) {
	return h.Name, l.command(ctx, "/hire", order{Hire: &h})
}

// Dismiss ends an instance that was hired, for good.
func (l *Local) Dismiss(ctx context.Context, name string) error {
	return l.command(ctx, "/dismiss", order{Name: name})
}

// Hire starts an instance that Scale does not count.
func (s *Supervisor) Hire(h Hire) error {
	if !slices.Contains(Services, h.Service) {
		return fmt.Errorf("%s is not a service; there are %s", h.Service, strings.Join(Services, ", "))
	}
	if number(h.Name) > 0 {
		return fmt.Errorf("%s is a name that Scale gives", h.Name)
	}
	faults := ""
	if h.Faults != (Faults{}) {
		text, err := json.Marshal(h.Faults)
		if err != nil {
			return err
		}
		faults = string(text)
	}
	sp, err := s.makeExtra(h.Service, h.Name, h.Version, faults)
	if err == nil {
		err = s.start(sp)
	}
	if err != nil {
		return fmt.Errorf("start %s: %w", h.Name, err)
	}
	return nil
}

// Dismiss ends an instance that was hired, for good; it returns when it has
// ended. One that is not there is no error.
func (s *Supervisor) Dismiss(ctx context.Context, name string) error {
	c, err := s.child(name)
	if err != nil {
		return nil //nolint:nilerr // it is gone, as wished
	}
	if !c.spec.extra {
		return fmt.Errorf("%s was not hired; kitmesh scale ends it", name)
	}
	return s.remove(ctx, []*child{c})
}
