package natstest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// givenOut are the ports that this process has handed out.
var givenOut sync.Map

// freePort returns a port that nobody listens on. It is below those that the system
// gives to connections that go out (32768 and up on Linux): one of those may be taken
// before the server listens, or while it is down.
func freePort(t testing.TB) int {
	t.Helper()
	const first, n, tries = 12_000, 20_000, 1000
	for range tries {
		port := first + rand.IntN(n)
		if _, given := givenOut.LoadOrStore(port, nil); given {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		l.Close()
		return port
	}
	t.Fatalf("none of %d ports from %d on is free", tries, first)
	return 0
}
