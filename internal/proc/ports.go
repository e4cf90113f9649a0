package proc

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// The ports that are handed out are below those that systems take for outgoing
// connections, so that a process that was ended finds its own free again.
const (
	firstPort = 20000
	lastPort  = 32000
)

// FreeAddrs returns n different loopback addresses, as "127.0.0.1:port", on
// which nobody listens now.
func FreeAddrs(n int) ([]string, error) {
	var addrs []string
	for range 100 * n {
		if len(addrs) == n {
			return addrs, nil
		}
		addr := "127.0.0.1:" + strconv.Itoa(firstPort+rand.IntN(lastPort-firstPort))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		// Until all are found, so that none is found twice.
		defer l.Close()
		addrs = append(addrs, addr)
	}
	if len(addrs) == n {
		return addrs, nil
	}
	return nil, errors.New("no free ports on 127.0.0.1")
}
