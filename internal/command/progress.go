package command

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far long work has come, at a terminal only. Without a bar it
// shows nothing. It is safe for concurrent use, and shows nothing after its end.
type progress struct {
	mu  sync.Mutex // guards bar
	bar *progressbar.ProgressBar
}

// progress begins work of the given length; -1 means that it is unknown.
func (r remote) progress(what string, length int64, more ...progressbar.Option) *progress {
	if !r.Terminal {
		return &progress{}
	}
	return &progress{bar: progressbar.NewOptions64(length, append([]progressbar.Option{
		progressbar.OptionSetWriter(r.Stderr),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100 * time.Millisecond),
		progressbar.OptionSetSpinnerChangeInterval(0), // otherwise it draws on its own, and over a question
		progressbar.OptionSetRenderBlankState(true),
		progressbar.OptionClearOnFinish(),
	}, more...)...)}
}

// add records that n more are done.
func (p *progress) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Add(n) // the work goes on if the bar cannot be drawn
	}
}

// Write records that len(data) more bytes are done.
func (p *progress) Write(data []byte) (int, error) {
	p.add(len(data))
	return len(data), nil
}

// end removes the bar for good.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}

// aside prints something else in place of the bar.
func (p *progress) aside(print func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	print()
}

// reach records that n are done in all.
func (p *progress) reach(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Set64(n)
	}
}

// counter counts the bytes that are read. Another goroutine may look at the count: a
// bar must not be drawn beside other output.
type counter struct {
	io.ReadCloser
	n atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}
