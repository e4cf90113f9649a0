// Package porttest has addresses for tests.
package porttest

import (
	"net"
	"strconv"
	"syscall"
	"testing"
)

// Unused returns a loopback address, as "127.0.0.1:port", where nobody listens until
// the test ends. A socket that does not listen keeps the port: once it was closed, the
// server of another test could get it.
func Unused(t testing.TB) string {
	t.Helper()
	syscall.ForkLock.RLock() // no child gets it
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(at.(*syscall.SockaddrInet4).Port))
}
