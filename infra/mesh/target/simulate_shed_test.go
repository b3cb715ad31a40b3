package target

import "github.com/kitmesh/kitmesh/middleware"

// simAdmission is asked for every request before it costs anything. It returns
// what gives the place back, or the refusal.
type simAdmission func() (release func(error), err error)

// newSimAdmission is the mesh's own limit, or nothing.
func newSimAdmission(mesh bool) simAdmission {
	if !mesh {
		return func() (func(error), error) { return nil, nil }
	}
	gate := middleware.NewShed(middleware.ShedSettings{}).Gate("x.Read")
	return func() (func(error), error) {
		pass, err := gate.Admit(middleware.Normal, 0)
		return pass.Done, err
	}
}
