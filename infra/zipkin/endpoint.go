package zipkin

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// endpoint is one side of a span. The zero value is an unknown one.
type endpoint struct {
	service    []byte // lower case
	ipv4, ipv6 string
	port       uint16
}

func (e *endpoint) known() bool {
	return len(e.service) > 0 || e.ipv4 != "" || e.ipv6 != "" || e.port != 0
}

// setPort refuses what is no port; what is below 1 means unknown.
func (e *endpoint) setPort(port int64) error {
	if port > 0xffff {
		return fmt.Errorf("invalid port %d", port)
	}
	e.port = uint16(max(port, 0)) //nolint:gosec // bounded above
	return nil
}

// setIP takes an address as text. What is none is ignored, as Zipkin does it.
func (e *endpoint) setIP(text []byte) {
	addr, err := netip.ParseAddr(string(text))
	if err != nil || addr.Zone() != "" {
		return
	}
	dotted := strings.IndexByte(string(text), '.') >= 0
	switch {
	case addr.Is4():
		e.ipv4 = addr.String()
	case !dotted:
		e.ipv6 = formatIPv6(addr.As16())
	case addr.Is4In6(), embeds4(addr.As16()):
		last := addr.As16()
		e.ipv4 = netip.AddrFrom4([4]byte(last[12:])).String()
	}
}

// setIPBytes takes an address in network order, as protobuf has it.
func (e *endpoint) setIPBytes(b []byte) {
	switch len(b) {
	case 4:
		e.ipv4 = netip.AddrFrom4([4]byte(b)).String()
	case 16:
		if a := [16]byte(b); embeds4(a) && binary.BigEndian.Uint32(a[12:]) != 1 {
			e.ipv4 = netip.AddrFrom4([4]byte(a[12:])).String()
		} else {
			e.ipv6 = formatIPv6(a)
		}
	}
}

// embeds4 reports the old "IPv4-compatible" form, ::a.b.c.d.
func embeds4(a [16]byte) bool {
	return binary.BigEndian.Uint64(a[:8]) == 0 && binary.BigEndian.Uint32(a[8:12]) == 0
}

// formatIPv6 writes an address as Zipkin does: never with dots, and with the
// first longest run of zeros left out even if it is a single group.
func formatIPv6(a [16]byte) string {
	if a == ([16]byte{}) {
		return "::"
	}
	var groups [8]uint16
	skip, length, from := -1, 0, -1
	for i := range groups {
		groups[i] = binary.BigEndian.Uint16(a[2*i:])
		switch {
		case groups[i] == 0 && from < 0:
			from = i
		case groups[i] != 0 && from >= 0:
			if i-from > length {
				skip, length = from, i-from
			}
			from = -1
		}
	}
	if skip < 0 && from >= 0 { // zeros at the end count only if there are no others
		skip, length = from, 8-from
	}
	var text []byte
	for i := 0; i < 8; {
		if i == skip {
			text = append(text, ':')
			if i += length; i == 8 {
				text = append(text, ':')
			}
			continue
		}
		if i > 0 {
			text = append(text, ':')
		}
		text = strconv.AppendUint(text, uint64(groups[i]), 16)
		i++
	}
	return string(text)
}
