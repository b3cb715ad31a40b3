package report

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/kitmesh/kitmesh/infra/chaos"
)

// manyLanes bounds the lanes of a chart.
const manyLanes = 32

// subjects are the instances that the charts of a group are about: the same for
// all its runs, so that they can be laid side by side.
type subjects struct {
	services map[string][]string // instances by service, sorted
	victims  map[string]bool     // instances that an action hurt
	hurt     []string            // services with victims, then those of which an instance was out
	lanes    []string            // instances in the order they are drawn
	quiet    int                 // instances without a lane, because nothing happened to them
	dropped  int                 // instances without a lane, because there are too many
}

// servicesOf are the services of which the callers say something.
func servicesOf(j *chaos.Journal) []string {
	known := map[string]bool{}
	for _, s := range j.Seconds {
		for service := range s.Mesh {
			known[service] = true
		}
	}
	return slices.Sorted(maps.Keys(known))
}

func subjectsOf(journals []chaos.Journal) subjects {
	s := subjects{services: map[string][]string{}, victims: map[string]bool{}}
	serviceOf := map[string]string{}
	out := map[string]bool{}  // of rotation, for some caller
	dead := map[string]bool{} // or paused
	for _, j := range journals {
		for _, second := range j.Seconds {
			for service, m := range second.Mesh {
				for id := range m.Instances {
					serviceOf[id] = service
				}
				for id := range m.Ejected {
					serviceOf[id], out[id] = service, true
				}
				for id := range m.Open {
					serviceOf[id], out[id] = service, true
				}
			}
			for _, id := range second.Silent {
				dead[id] = true
			}
		}
	}
	for id, service := range serviceOf {
		s.services[service] = append(s.services[service], id)
	}
	for _, ids := range s.services {
		slices.SortFunc(ids, natural)
	}
	for _, j := range journals {
		for _, e := range j.Events {
			if e.Kind == "action" {
				for target := range strings.FieldsFuncSeq(e.Target, func(r rune) bool { return r == ',' || r == ' ' }) {
					if serviceOf[target] != "" {
						s.victims[target] = true
					}
				}
			}
		}
	}
	s.rank(serviceOf, out)
	s.choose(out, dead)
	return s
}

// rank orders the services that were hurt.
func (s *subjects) rank(serviceOf map[string]string, out map[string]bool) {
	for _, set := range []map[string]bool{s.victims, out} {
		for _, id := range slices.Sorted(maps.Keys(set)) {
			if service := serviceOf[id]; !slices.Contains(s.hurt, service) {
				s.hurt = append(s.hurt, service)
			}
		}
	}
}

// struck are the services with victims; without any, those of which an instance
// was out.
func (s *subjects) struck() []string {
	all := slices.Clone(s.hurt)
	all = slices.DeleteFunc(all, func(service string) bool { return !s.hasVictim(service) })
	if len(all) == 0 {
		return s.hurt
	}
	return all
}

func (s *subjects) hasVictim(service string) bool {
	return slices.ContainsFunc(s.services[service], func(id string) bool { return s.victims[id] })
}

// choose gives a lane to the instances of services with victims, and to whoever
// was out or silent.
func (s *subjects) choose(out, dead map[string]bool) {
	var rest []string
	all := 0
	for _, service := range slices.Sorted(maps.Keys(s.services)) {
		ids := s.services[service]
		all += len(ids)
		for _, id := range ids {
			switch {
			case s.hasVictim(service):
				s.lanes = append(s.lanes, id)
			case out[id] || dead[id]:
				rest = append(rest, id)
			}
		}
	}
	s.lanes = append(s.lanes, rest...)
	s.quiet = all - len(s.lanes)
	for _, id := range slices.Sorted(maps.Keys(dead)) {
		if !slices.Contains(s.lanes, id) {
			s.lanes = append(s.lanes, id) // the edge, or one that nobody calls
		}
	}
	if len(s.lanes) > manyLanes {
		s.dropped = len(s.lanes) - manyLanes
		s.lanes = s.lanes[:manyLanes]
	}
}

// natural puts catalog-2 before catalog-10.
func natural(a, b string) int {
	if strings.HasPrefix(a, b[:min(len(b), strings.LastIndex(b, "-")+1)]) && len(a) != len(b) {
		return cmp.Compare(len(a), len(b))
	}
	return cmp.Compare(a, b)
}
