package delivery_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"belfry/delivery"
	"belfry/internal/job"
)

func TestGuard(t *testing.T) {
	t.Parallel()
	allow := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd12::/16"), netip.MustParsePrefix("169.254.0.0/16")}
	const never, private, public = "no setting allows it", "--webhook-allow ", ""
	for _, tt := range []struct {
		addr    string
		refused string // with all private addresses denied
	}{
		// Always refused, also where an exception covers them.
		{"169.254.169.254", never}, {"169.254.170.2", never}, {"fe80::1", never}, {"fe80::1%eth0", never}, {"100.100.100.200", never},
		{"fd00:ec2::254", never}, {"fd20:ce::254", never}, {"fd00:42::42", never}, {"fd00:c1::a9fe:a9fe", never},
		{"fd00:a9fe:a9fe::1", never}, {"fd00:100::100:200", never}, {"168.63.129.16", never}, {"192.0.0.192", never},
		{"0.0.0.0", never}, {"0.1.2.3", never}, {"::", never}, {"224.0.0.1", never}, {"239.1.2.3", never}, {"ff02::1", never}, {"255.255.255.255", never},
		{"::ffff:169.254.169.254", never}, {"::169.254.169.254", never}, {"64:ff9b::a9fe:a9fe", never}, {"64:ff9b::0.0.0.0", never},
		{"64:ff9b:1::a9fe:a9fe", never}, {"64:ff9b:1:a9fe:a9:fe00::", never}, {"2002:a9fe:a9fe::1", never},
		{"2001:0:a9fe:a9fe::1", never}, {"2001:0:808:808::5601:5601", never}, {"2a00:1::5efe:a9fe:a9fe", never}, {"2a00:1::200:5efe:a9fe:a9fe", never},

		{"10.0.0.1", private}, {"172.16.0.1", private}, {"192.168.1.1", private}, {"127.0.0.1", private}, {"::1", private}, {"fc00::1", private},
		{"100.64.0.1", private}, {"198.18.0.1", private}, {"192.0.2.1", private}, {"240.0.0.1", private}, {"2001:db8::1", private},
		{"::ffff:10.0.0.1", private}, {"64:ff9b::a00:1", private}, {"2002:a00:1::1", private}, {"64:ff9b:1::808:808", private},

		{"8.8.8.8", public}, {"2606:4700::1111", public}, {"64:ff9b::808:808", public}, {"::ffff:8.8.8.8", public},
		{"10.1.2.3", public}, {"fd12::1", public}, {"::ffff:10.1.2.3", public}, // exceptions
	} {
		addr := netip.MustParseAddr(tt.addr)
		for deny, want := range map[bool]string{true: tt.refused, false: tt.refused} {
			if !deny && want == private {
				want = public
			}
			err := delivery.CheckAddress(delivery.Config{DenyPrivate: deny, Allow: allow}, addr)
			switch {
			case want == "" && err != nil:
				t.Errorf("%s, private denied %v: %v, want no error", tt.addr, deny, err)
			case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "refused by policy: ")):
				t.Errorf("%s, private denied %v: got %v, want %q in the error", tt.addr, deny, err, want)
			}
		}
	}
	err := delivery.CheckAddress(delivery.Config{DenyPrivate: true}, netip.MustParseAddr("10.1.2.3"))
	if want := "refused by policy: 10.1.2.3 is not a public address; --webhook-allow 10.1.2.3/32 allows it"; err == nil || err.Error() != want {
		t.Errorf("10.1.2.3: got %v, want %q", err, want)
	}
}

func FuzzGuard(f *testing.F) {
	for _, a := range []string{"169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "fe80::1%eth0"} {
		f.Add(netip.MustParseAddr(a).AsSlice())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		addr, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		lax, strict := delivery.CheckAddress(delivery.Config{}, addr), delivery.CheckAddress(delivery.Config{DenyPrivate: true}, addr)
		if lax != nil && strict == nil {
			t.Errorf("%v is refused (%v), but not when more is refused", addr, lax)
		}
		if a := addr.Unmap(); lax == nil && (a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast()) {
			t.Errorf("%v is not refused", addr)
		}
		if a := addr.Unmap(); strict == nil && (a.IsPrivate() || a.IsLoopback()) {
			t.Errorf("%v is not refused with the private ones", addr)
		}
	})
}

// A webhook URL leads to a metadata service or, where that is denied, into the private
// network. The try fails, says why and how to allow it, and is kept as an attempt.
func TestWebhookURLResolvingToMetadata(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		url  string
		deny bool
		want string
	}{
		{"http://169.254.169.254/latest/meta-data", false, "refused by policy: 169.254.169.254 is link-local; no setting allows it"},
		{"http://[::ffff:169.254.169.254]/", false, "refused by policy: 169.254.169.254 is link-local; no setting allows it"},
		{"http://metadata.example/", false, "refused by policy: 169.254.169.254 is link-local; no setting allows it"},
		{"https://[64:ff9b::a9fe:a9fe]/", false, "refused by policy: 64:ff9b::a9fe:a9fe is link-local; no setting allows it"},
		{"http://0.0.0.0/", false, "refused by policy: 0.0.0.0 is unspecified; no setting allows it"},
		{"http://[::ffff:10.0.0.1]/", true, "refused by policy: 10.0.0.1 is not a public address; --webhook-allow 10.0.0.1/32 allows it"},
		{"http://localhost.example/", true, "refused by policy: 127.0.0.1 is not a public address; --webhook-allow 127.0.0.1/32 allows it"},
	} {
		t.Run(tt.url, func(t *testing.T) {
			t.Parallel()
			names := resolver(t, func(name string) string {
				return map[string]string{"metadata.example.": "169.254.169.254", "localhost.example.": "127.0.0.1"}[name]
			})
			s := newStore(t)
			s.run(delivery.Config{DenyPrivate: tt.deny}, func(m *delivery.Manager) { m.SetResolver(names) })
			s.fire(s.addRoute("r", tt.url))
			if got := s.awaitResult(1); got.Status != job.Retrying || got.Detail != tt.want {
				t.Errorf("got %+v, want a retry with the detail %q", got, tt.want)
			}
			if a := get(s, func() job.Attempt { return s.attempts[0] }); a.Error != tt.want || a.Status != 0 {
				t.Errorf("attempt: got %+v, want the error %q and no status", a, tt.want)
			}
		})
	}
}

// A name that leads to the receiver on the first try and to a metadata service
// on the second.
func TestWebhookURLRebindingBetweenAttempts(t *testing.T) {
	t.Parallel()
	var posts atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		posts.Add(1)
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusInternalServerError)
	}))
	t.Cleanup(srv.Close)
	var bound atomic.Bool
	names := resolver(t, func(string) string {
		if bound.Load() {
			return "169.254.169.254"
		}
		return "127.0.0.1"
	})
	s := newStore(t)
	s.run(delivery.Config{}, func(m *delivery.Manager) { m.SetResolver(names) })
	port := srv.Listener.Addr().(*net.TCPAddr).Port
	key := s.addRoute("r", fmt.Sprintf("http://rebinding.example:%d/", port))
	s.fire(key)
	if got := s.awaitResult(1); got.Detail != "status 500" {
		t.Errorf("first try: got %+v, want status 500", got)
	}
	bound.Store(true)
	s.fire(key)
	if got, want := s.awaitResult(2).Detail, "refused by policy: 169.254.169.254 is link-local; no setting allows it"; got != want {
		t.Errorf("second try: got %q, want %q", got, want)
	}
	if n := posts.Load(); n != 1 {
		t.Errorf("%d POSTs arrived, want 1", n)
	}
}

// A redirect to an internal address is not followed, whatever the guard would decide
// about it.
func TestRedirectToInternalAddressIsNotFollowed(t *testing.T) {
	t.Parallel()
	var followed atomic.Int32
	internal := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	t.Cleanup(internal.Close)
	srv := httptest.NewServer(http.RedirectHandler(internal.URL, http.StatusFound))
	t.Cleanup(srv.Close)
	s := newStore(t)
	s.run(delivery.Config{})
	s.fire(s.addRoute("r", srv.URL))
	if got := s.awaitResult(1); got.Status != job.Retrying || got.Detail != "status 302" || followed.Load() != 0 {
		t.Errorf("got %+v and %d requests to the internal address, want a retry for status 302 and none", got, followed.Load())
	}
}

// If one address of a name is refused, the fire goes to the other.
func TestGuardAllowsOtherAddress(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(srv.Close)
	names := resolver(t, func(string) string { return "169.254.169.254 127.0.0.1" })
	s := newStore(t)
	s.run(delivery.Config{}, func(m *delivery.Manager) { m.SetResolver(names) })
	s.fire(s.addRoute("r", fmt.Sprintf("http://both.example:%d/", srv.Listener.Addr().(*net.TCPAddr).Port)))
	if got := s.awaitResult(1); got.Status != job.Delivered {
		t.Errorf("got %+v, want delivered", got)
	}
}

// resolver looks names up at its own name server. lookup returns a name's IPv4
// addresses, separated by spaces.
func resolver(t *testing.T, lookup func(name string) string) *net.Resolver {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 1<<10)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			conn.WriteTo(dnsAnswer(buf[:n], lookup), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "udp4", conn.LocalAddr().String())
	}}
}

// dnsAnswer answers a query of one question, RFC 1035.
func dnsAnswer(query []byte, lookup func(string) string) []byte {
	name, at := "", 12
	for query[at] != 0 {
		n := int(query[at])
		name += string(query[at+1:at+1+n]) + "."
		at += 1 + n
	}
	question := query[12 : at+5]
	var addrs []string
	if binary.BigEndian.Uint16(query[at+1:]) == 1 { // of type A
		addrs = strings.Fields(lookup(name))
	}
	a := append([]byte{}, query[:2]...)
	a = append(a, 0x81, 0x80, 0, 1, 0, byte(len(addrs)), 0, 0, 0, 0)
	a = append(a, question...)
	for _, addr := range addrs {
		a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		a = append(a, netip.MustParseAddr(addr).AsSlice()...)
	}
	return a
}
