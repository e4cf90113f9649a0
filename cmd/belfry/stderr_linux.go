package main

import (
	"os"
	"syscall"
)

// ownStderr keeps writes to standard error from blocking for good, and returns the file
// to write the log to. The log itself can wait for its reader; but the Go runtime writes
// a panic with everything else stopped, and the process would hang in it.
//
// A pipe or a terminal is opened again, because its non-blocking mode is shared with
// other processes that have it. A socket cannot be opened again; the one that systemd
// hands over is the service's own. No other kind of file is known to block.
func ownStderr() *os.File {
	info, err := os.Stderr.Stat()
	if err != nil {
		return os.Stderr
	}
	switch mode := info.Mode(); {
	case mode&os.ModeSocket != 0:
		if fd, err := syscall.Dup(syscall.Stderr); err == nil && syscall.SetNonblock(fd, true) == nil {
			syscall.CloseOnExec(fd)
			return os.NewFile(uintptr(fd), "standard error")
		}
	case mode&(os.ModeNamedPipe|os.ModeCharDevice) != 0:
		fd, err := syscall.Open("/proc/self/fd/2", syscall.O_WRONLY|syscall.O_APPEND|syscall.O_NONBLOCK|syscall.O_CLOEXEC|syscall.O_NOCTTY, 0)
		if err != nil {
			break // it is another user's, or has no reader
		}
		if syscall.Dup3(fd, syscall.Stderr, 0) == nil {
			return os.NewFile(uintptr(fd), "standard error")
		}
		_ = syscall.Close(fd)
	}
	return os.Stderr
}
