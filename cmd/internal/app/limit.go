package app

import (
	"fmt"
	"strconv"

	"github.com/kitmesh/kitmesh/middleware"
)

// ServerOption adjusts the ring around the methods that an instance serves.
type ServerOption func(*middleware.ServerRing)

// Orders makes requests of the methods critical: when not all fit, they stay.
// It is for the service where requests enter the mesh; the others inherit.
func Orders(methods ...string) ServerOption {
	return func(r *middleware.ServerRing) {
		r.Priority = map[string]middleware.Priority{}
		for _, m := range methods {
			r.Priority[m] = middleware.Critical
		}
	}
}

// Assembles is for a service that answers without the parts that others shed,
// and says so (middleware.Incomplete).
func Assembles(r *middleware.ServerRing) { r.Assembles = true }

// limit makes what sheds load, unless nothing shall be.
func (a *App) limit() {
	most := a.Config.MaxConcurrency
	if most == unbounded || a.Config.Stack == StackStock {
		return
	}
	settings := middleware.ShedSettings{Fixed: int(most)}
	if settings.Fixed == 0 && a.Config.Work == 0 {
		// Work of a millisecond shares its cores with every neighbour, whose bursts
		// look like an overload: at 200 requests/s on two cores an adaptive limit
		// refused up to a sixth of them. Only with --work is the capacity known.
		settings.Fixed = sharedPlaces
	}
	a.shed = middleware.NewShed(settings)
	a.registry.MustRegister(a.shed)
}

// concurrency is the value of --max-concurrency.
type concurrency int

const (
	automatic concurrency = 0
	unbounded concurrency = -1
)

// String implements flag.Value.
func (c *concurrency) String() string {
	switch *c {
	case automatic:
		return "auto"
	case unbounded:
		return "0"
	}
	return strconv.Itoa(int(*c))
}

// Set implements flag.Value.
func (c *concurrency) Set(text string) error {
	if text == "auto" {
		*c = automatic
		return nil
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || n < 0 || n > maxConcurrency:
		return fmt.Errorf("neither auto nor 0 to %d", maxConcurrency)
	case n == 0:
		*c = unbounded
	default:
		*c = concurrency(n)
	}
	return nil
}

const maxConcurrency = 1_000_000

// sharedPlaces bounds the requests at once of an instance whose capacity is what
// its neighbours leave of the machine.
const sharedPlaces = 512
