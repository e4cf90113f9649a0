package proc

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// These ports are below those that systems use for outgoing connections, so that a
// process that was ended finds its port still free.
const (
	firstPort = 20000
	lastPort  = 32000
)

// handedOut are the addresses that were handed out. Each is handed out only once,
// since its owner may not listen yet.
var handedOut sync.Map

// FreeAddrs returns n different loopback addresses, as "127.0.0.1:port", on which
// nobody listens now and which it has not returned before.
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
		defer l.Close()
		if _, twice := handedOut.LoadOrStore(addr, nil); twice {
			continue
		}
		addrs = append(addrs, addr)
	}
	if len(addrs) == n {
		return addrs, nil
	}
	return nil, errors.New("no free ports on 127.0.0.1")
}
