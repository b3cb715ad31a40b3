package audit

import "cmp"

// The checks, in the order of the report. Each looks at everything from one
// side, so that one mistake of the shop may show in several.
var checks = []struct {
	name, about string
	history     bool // it needs one
	run         func(*index, *finding)
}{
	{"durability", "every acknowledged order is there, as acknowledged", true, checkDurability},
	{"phantoms", "nothing happened that no customer asked for", false, checkPhantoms},
	{"once", "one order per key, one charge per order, one reservation per line", false, checkOnce},
	{"stock", "initial + restocked = available + reserved + shipped, at every moment", false, checkStock},
	{"money", "captured if and only if confirmed; cancelled is given back", false, checkMoney},
	{"parcels", "a confirmed order has a parcel, a cancelled one has none", false, checkParcels},
	{"sagas", "no order is stuck", false, checkSagas},
	{"keys", "same key, same answer; same key with another body is refused", true, checkKeys},
	{"events", "each change is one event, in an allowed order, without a gap", false, checkEvents},
	{"reads", "customers read their own writes, and a status never goes back", true, checkReads},
	{"linear-stock", "some order of the stock events explains every level (porcupine)", false, checkLinearStock},
	{"linear-status", "some order of places and reads explains every status (porcupine)", true, checkLinearStatus},
	{"linear-keys", "each key behaves as a create-once register (porcupine)", true, checkLinearKeys},
}

// Names lists the checks.
func Names() []string {
	names := make([]string, len(checks))
	for i, c := range checks {
		names[i] = c.name
	}
	return names
}

const noHistory = "no history: record one with kitmesh load --history"

// Run makes every check that the evidence allows.
func Run(e Evidence) Report {
	x := newIndex(e)
	var r Report
	for _, o := range x.orders {
		if o.judged {
			r.Orders++
		}
	}
	for _, c := range checks {
		f := &finding{Check: Check{Name: c.name, About: c.about, Violations: []Violation{}}}
		if c.history && len(e.Histories) == 0 {
			f.Skipped = noHistory
		} else {
			c.run(x, f)
		}
		r.Violations += len(f.Violations)
		r.Checks = append(r.Checks, f.Check)
	}
	return r
}

// finding is what a check writes down.
type finding struct{ Check }

// expect counts one thing looked at; when it does not hold it is a violation.
func (f *finding) expect(holds bool, s subject, expected, found string) {
	f.Checked++
	if !holds {
		f.Violations = append(f.Violations, Violation{Keys: s.keys, TraceID: s.trace, Expected: expected, Found: found})
	}
}

// subject names what a violation is about.
type subject struct {
	keys  []string
	trace string
}

func about(keys ...string) subject {
	var named []string
	for _, k := range keys {
		if k != "" {
			named = append(named, k)
		}
	}
	return subject{keys: named}
}

func (s subject) traced(ids ...string) subject {
	s.trace = cmp.Or(ids...)
	return s
}
