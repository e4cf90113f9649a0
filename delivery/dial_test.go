package delivery_test

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"belfry/delivery"
)

func addrPorts(s ...string) (all []netip.AddrPort) {
	for _, a := range s {
		all = append(all, netip.MustParseAddrPort(a))
	}
	return all
}

// The families take turns, and a name with very many addresses costs no more than
// some sockets.
func TestAddressesInTurns(t *testing.T) {
	t.Parallel()
	addrs := func(s ...string) (all []netip.Addr) {
		for _, a := range s {
			all = append(all, netip.MustParseAddr(a))
		}
		return all
	}
	for _, tt := range []struct{ found, want []netip.Addr }{
		{addrs("10.0.0.1"), addrs("10.0.0.1")},
		{addrs("::1", "::2", "::3", "10.0.0.1", "10.0.0.2"), addrs("::1", "10.0.0.1", "::2", "10.0.0.2", "::3")},
		{addrs("10.0.0.1", "10.0.0.2", "::1"), addrs("10.0.0.1", "::1", "10.0.0.2")},
		{addrs("::ffff:10.0.0.1", "10.0.0.2"), addrs("10.0.0.1", "10.0.0.2")},
	} {
		if got := delivery.InTurns(tt.found); !slices.Equal(got, tt.want) {
			t.Errorf("%v: called as %v, want %v", tt.found, got, tt.want)
		}
	}
	many := make([]netip.Addr, 1000)
	for i := range many {
		many[i] = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
	}
	if got := delivery.InTurns(many); len(got) != 32 {
		t.Errorf("of a thousand addresses %d are called, want 32", len(got))
	}
}

// An address that was silent is called last, for a minute, or until it is heard.
func TestSilentAddressesAreCalledLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s delivery.Silent
		order := func(want ...string) {
			t.Helper()
			got := addrPorts("10.0.0.1:1", "10.0.0.2:1", "10.0.0.1:2")
			s.Last(got)
			if !slices.Equal(got, addrPorts(want...)) {
				t.Errorf("called as %v, want %v", got, want)
			}
		}
		order("10.0.0.1:1", "10.0.0.2:1", "10.0.0.1:2")
		s.Note(netip.MustParseAddrPort("10.0.0.1:1"), false)
		order("10.0.0.2:1", "10.0.0.1:2", "10.0.0.1:1")
		s.Note(netip.MustParseAddrPort("10.0.0.1:1"), true)
		order("10.0.0.1:1", "10.0.0.2:1", "10.0.0.1:2")
		s.Note(netip.MustParseAddrPort("10.0.0.1:1"), false)
		time.Sleep(2 * time.Minute)
		order("10.0.0.1:1", "10.0.0.2:1", "10.0.0.1:2")
		for i := range 30_000 {
			s.Note(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 1), false)
		}
		if n := s.Len(); n > 10_000 {
			t.Errorf("%d silent addresses are known, want 10,000 at most", n)
		}
	})
}
