package runner

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Services are the seven of the shop; each is a program of its name.
var Services = []string{"gateway", "catalog", "pricing", "inventory", "orders", "payments", "shipping"}

// maxInstances bounds what one machine is asked to run of a service.
const maxInstances = 50

func instanceID(service string, n int) string { return fmt.Sprintf("%s-%d", service, n) }

// sortState puts instances in the shop's order and by number, parts by name.
func sortState(s *State) {
	slices.SortFunc(s.Instances, func(a, b Instance) int {
		return cmp.Or(
			cmp.Compare(slices.Index(Services, a.Service), slices.Index(Services, b.Service)),
			cmp.Compare(number(a.ID), number(b.ID)),
			cmp.Compare(a.ID, b.ID),
		)
	})
	slices.SortFunc(s.Parts, func(a, b Part) int { return cmp.Compare(a.Name, b.Name) })
}

// number returns the N of SERVICE-N; 0 if there is none.
func number(id string) int {
	n, _ := strconv.Atoi(id[strings.LastIndexByte(id, '-')+1:])
	return n
}
