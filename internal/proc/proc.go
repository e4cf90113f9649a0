// Package proc runs the programs of a Belfry installation as child processes,
// for tests and tools that start, signal and stop them. All of them listen on
// loopback only.
package proc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Process is a program that can be started, ended and started again, always
// with the same arguments. Its methods are safe for concurrent use.
type Process struct {
	Name string   // what people call it
	Path string   // of the binary
	Args []string // of the command line
	Env  []string // nil is that of this process

	// These fields are for [Process.Start]; [Process.Serve] reads the output instead.
	Log string // the file that its output is appended to
	Up  string // a URL that answers 200 while the process does its work

	mu    sync.Mutex // guards what follows
	cmd   *exec.Cmd  // the newest, nil before the first start
	ended chan struct{}
	err   error // of its end; set when ended is closed
}

// stopWithin is the time that service managers grant. It is more than any of the
// programs takes to stop at its own limit.
const stopWithin = 35 * time.Second

var (
	errRunning    = errors.New("it runs already")
	errNotRunning = errors.New("it does not run")
)

// Start starts the process; [Process.WaitUp] says when it is at work.
func (p *Process) Start() error {
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Env = p.Env
	cmd.Stdout, cmd.Stderr = log, log
	return p.start(cmd, func() {})
}

// start starts cmd as the newest process. follow reads its output from pipes until it
// has ended.
func (p *Process) start(cmd *exec.Cmd, follow func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running() {
		return fmt.Errorf("couldn't start %s: %w", p.Name, errRunning)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("couldn't start %s: %w", p.Name, err)
	}
	ended := make(chan struct{})
	p.cmd, p.ended, p.err = cmd, ended, nil
	go func() {
		follow()
		err := cmd.Wait()
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		close(ended)
	}()
	return nil
}

// running reports whether the process has not ended; p.mu is held.
func (p *Process) running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Running reports whether the process was started and has not ended.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running()
}

// Ended is closed when the newest process has ended; it is nil before the first
// start.
func (p *Process) Ended() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// Err returns how the newest process failed when it ended; it is nil while the
// process runs.
func (p *Process) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// CPU returns the processor time that the newest process used, once it has ended.
func (p *Process) CPU() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.running() {
		return 0
	}
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// PID returns the id of the newest process, 0 before the first start.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// WaitUp returns when the process says that it is up. It fails when the
// process ends before that, or when ctx does.
func (p *Process) WaitUp(ctx context.Context) error {
	ended := p.Ended()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !p.IsUp(ctx) {
		select {
		case <-ended: // nil, and never ready, before the first start
			return fmt.Errorf("%s ended before it was up: %v; its log is %s", p.Name, p.Err(), p.Log)
		case <-ctx.Done():
			return fmt.Errorf("%s is not up: %w; its log is %s", p.Name, ctx.Err(), p.Log)
		case <-tick.C:
		}
	}
	return nil
}

// IsUp asks the process once, for at most a second.
func (p *Process) IsUp(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Up, nil)
	if err != nil {
		return false
	}
	rsp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	rsp.Body.Close()
	return rsp.StatusCode == http.StatusOK
}

// Kill ends the process with SIGKILL and returns when it has ended.
func (p *Process) Kill() error { return p.end(syscall.SIGKILL) }

// Stop ends the process with SIGTERM, or with SIGKILL if that takes too long. It does
// nothing if the process is not running.
func (p *Process) Stop() error {
	if !p.Running() {
		return nil
	}
	kill := time.AfterFunc(stopWithin, func() { _ = p.Signal(syscall.SIGKILL) })
	defer kill.Stop()
	err := p.end(syscall.SIGTERM)
	if errors.Is(err, errNotRunning) {
		return nil // it was faster
	}
	if err != nil {
		return err
	}
	if err := p.Err(); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	return nil
}

// Pause stops the process with SIGSTOP: it keeps its connections and does
// nothing.
func (p *Process) Pause() error { return p.Signal(syscall.SIGSTOP) }

// Resume undoes [Process.Pause].
func (p *Process) Resume() error { return p.Signal(syscall.SIGCONT) }

func (p *Process) end(sig syscall.Signal) error {
	ended := p.Ended()
	if err := p.Signal(sig); err != nil {
		return err
	}
	<-ended
	return nil
}

// Signal sends a signal to the process.
func (p *Process) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return fmt.Errorf("couldn't send %v to %s: %w", sig, p.Name, errNotRunning)
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
		if errors.Is(err, os.ErrProcessDone) {
			err = errNotRunning
		}
		return fmt.Errorf("couldn't send %v to %s: %w", sig, p.Name, err)
	}
	return nil
}
