package porttest_test

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"belfry/internal/porttest"
)

func TestUnused(t *testing.T) {
	at := porttest.Unused(t)
	if c, err := net.Dial("tcp", at); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a connection: %v, %v; want %v", c, err, syscall.ECONNREFUSED)
	}
	if l, err := net.Listen("tcp", at); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a listener: %v, %v; want %v", l, err, syscall.EADDRINUSE)
	}
}
