package delivery

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// silentFor is how long an address that did not answer is called last.
	silentFor = time.Minute

	// maxSilent bounds how many such addresses are remembered.
	maxSilent = 10_000
)

// silent knows the addresses that did not answer a call while another one did, and
// those whose connection brought nothing, not even a handshake. A dialer cannot tell
// such an address from a live one. Later tries call the other addresses of the name
// first. It is safe for concurrent use.
type silent struct {
	mu sync.Mutex // guards what follows
	at map[netip.AddrPort]time.Time
}

// note records how a connection to an address ended.
func (s *silent) note(addr netip.AddrPort, heard bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if heard {
		delete(s.at, addr)
		return
	}
	if s.at == nil || len(s.at) >= maxSilent {
		s.at = make(map[netip.AddrPort]time.Time)
	}
	s.at[addr] = time.Now()
}

// last moves recently silent addresses to the end.
func (s *silent) last(addrs []netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.at) == 0 {
		return
	}
	rank := func(a netip.AddrPort) int {
		at, found := s.at[a]
		switch {
		case !found:
			return 0
		case time.Since(at) > silentFor:
			delete(s.at, a)
			return 0
		}
		return 1
	}
	slices.SortStableFunc(addrs, func(a, b netip.AddrPort) int { return rank(a) - rank(b) })
}
