package delivery

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"code.dny.dev/ssrf"
)

// guard decides which addresses webhooks may connect to. It checks each address that
// is dialed, after the name was looked up, so it catches a name that leads elsewhere
// on the next try. A kept connection needs no second check: it goes to the address
// that was checked, wherever the name leads by now.
type guard struct {
	denyPrivate bool
	allow       []netip.Prefix
}

// never lists addresses no webhook may reach: those inside the machine or its local
// network, and the services that give cloud machines their credentials. No setting
// opens them.
var never = []struct {
	prefix netip.Prefix
	is     string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},                 // RFC 791; 0.0.0.0 is this machine
	{netip.MustParsePrefix("::/128"), "unspecified"},                    // RFC 4291
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},             // RFC 3927; .169.254 and others are metadata
	{netip.MustParsePrefix("fe80::/10"), "link-local"},                  // RFC 4291
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},                 // RFC 1112
	{netip.MustParsePrefix("ff00::/8"), "multicast"},                    // RFC 4291
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"},          // RFC 919
	{netip.MustParsePrefix("fd00:ec2::/32"), "cloud metadata"},          // AWS: ::254 metadata, ::23 credentials, ::253 DNS, ::123 time
	{netip.MustParsePrefix("fd20:ce::254/128"), "cloud metadata"},       // Google Cloud
	{netip.MustParsePrefix("fd00:42::42/128"), "cloud metadata"},        // Scaleway
	{netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), "cloud metadata"}, // Oracle Cloud
	{netip.MustParsePrefix("fd00:a9fe:a9fe::1/128"), "cloud metadata"},  // Akamai, Linode
	{netip.MustParsePrefix("fd00:100::100:200/128"), "cloud metadata"},  // Alibaba Cloud
	{netip.MustParsePrefix("100.100.100.200/32"), "cloud metadata"},     // Alibaba Cloud
	{netip.MustParsePrefix("168.63.129.16/32"), "cloud metadata"},       // Azure's host
	{netip.MustParsePrefix("192.0.0.192/32"), "cloud metadata"},         // Oracle Cloud, classic
}

// public says which addresses are public, by the registries of IANA.
var public = ssrf.New(ssrf.WithAnyPort())

// refusal says that an address is refused, and how to allow it.
type refusal struct {
	addr netip.Addr
	is   string
	how  string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%s: %v is %s; %s", classPolicy, r.addr, r.is, r.how)
}

// control implements [net.Dialer.ControlContext].
func (g guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	return g.check(to.Addr())
}

func (g guard) check(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	all := append([]netip.Addr{addr}, carried(addr)...)
	for _, a := range all {
		for _, n := range never {
			if n.prefix.Contains(a) {
				return &refusal{addr, n.is, "no setting allows it"}
			}
		}
	}
	if !g.denyPrivate || slices.ContainsFunc(g.allow, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return nil
	}
	if nat64.Contains(addr) {
		all = all[1:] // a public address in another form
	}
	for _, a := range all {
		if public.SafeAddr(a) != nil {
			return &refusal{addr, "not a public address", fmt.Sprintf("--webhook-allow %v allows it", netip.PrefixFrom(addr, addr.BitLen()))}
		}
	}
	return nil
}

var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")   // RFC 6052
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48") // RFC 8215
	sixToFour  = netip.MustParsePrefix("2002::/16")      // RFC 3056
	teredo     = netip.MustParsePrefix("2001::/32")      // RFC 4380
	compatible = netip.MustParsePrefix("::/96")          // RFC 4291, deprecated
)

// carried returns the IPv4 addresses that a translator or tunnel would derive from an
// IPv6 address.
func carried(addr netip.Addr) []netip.Addr {
	if addr.Is4() {
		return nil
	}
	b := addr.As16()
	v4 := func(b ...byte) netip.Addr { return netip.AddrFrom4([4]byte(b)) }
	last := v4(b[12:]...)
	switch {
	case nat64.Contains(addr):
		return []netip.Addr{last}
	case nat64Local.Contains(addr):
		// The network chooses one of these places (RFC 6052). Zero in the others means
		// nothing.
		places := []netip.Addr{v4(b[6], b[7], b[9], b[10]), v4(b[7], b[9], b[10], b[11]), v4(b[9:13]...), last}
		return slices.DeleteFunc(places, func(a netip.Addr) bool { return a.As4()[0] == 0 })
	case sixToFour.Contains(addr):
		return []netip.Addr{v4(b[2:6]...)}
	case teredo.Contains(addr):
		return []netip.Addr{v4(b[4:8]...), v4(^b[12], ^b[13], ^b[14], ^b[15])}
	case compatible.Contains(addr) && !addr.IsLoopback():
		return []netip.Addr{last}
	case bytes.Equal(b[9:12], []byte{0, 0x5e, 0xfe}) && b[8]&^2 == 0: // ISATAP, RFC 5214
		return []netip.Addr{last}
	}
	return nil
}
