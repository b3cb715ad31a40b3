package target

import (
	"testing"
	"unsafe"

	"github.com/kitmesh/kitmesh/infra/mesh/discovery"
)

// What a pick reads of a member is one cache line, and the members begin where
// lines do: the allocator sees to it while the size is in one of these classes.
func TestMemberLines(t *testing.T) {
	const line = 64
	var m Member
	if end := unsafe.Offsetof(m.stall) + unsafe.Offsetof(m.stall.suspect) + unsafe.Sizeof(m.stall.suspect); end > line {
		t.Errorf("the fields that a pick reads end at byte %d, want at most %d", end, line)
	}
	if at := unsafe.Offsetof(m.breaker); at%line != 0 {
		t.Errorf("the breaker begins at byte %d of a line", at%line)
	}
	x := New(Options{Service: "x", Source: discovery.NewStatic()})
	defer x.Close()
	for range 100 {
		m := x.newMember(discovery.Instance{ID: "x-1", Addr: "127.0.0.1:1"})
		if at := uintptr(unsafe.Pointer(m)) % line; at != 0 {
			t.Fatalf("a Member of %d bytes begins at byte %d of a cache line: change its last padding", unsafe.Sizeof(*m), at)
		}
	}
}

// A pick allocates nothing, under any policy.
func TestPickAllocatesNothing(t *testing.T) {
	for _, policy := range []Policy{PeakEWMA, LeastRequest, RoundRobin, Hash} {
		x := crowd(t, 100, Options{Balance: Balance{Policy: policy, Zone: "elsewhere"}})
		if n := testing.AllocsPerRun(1000, func() {
			not := tried{key: 1 << 60}
			x.set.Load().pick(&not, x.now())
		}); n != 0 {
			t.Errorf("%s: %v allocations for a pick", policy, n)
		}
	}
}
