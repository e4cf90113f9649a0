package command

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far long work has come, at a terminal only. Without a bar
// it shows nothing.
type progress struct{ bar *progressbar.ProgressBar }

// progress begins work of a length; -1 is unknown.
func (r remote) progress(what string, length int64, more ...progressbar.Option) *progress {
	if !r.Terminal {
		return &progress{}
	}
	return &progress{progressbar.NewOptions64(length, append([]progressbar.Option{
		progressbar.OptionSetWriter(r.Stderr),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100 * time.Millisecond),
		progressbar.OptionSetSpinnerChangeInterval(0), // or it draws beside us, and over a question
		progressbar.OptionSetRenderBlankState(true),
		progressbar.OptionClearOnFinish(),
	}, more...)...)}
}

// add says that n more are done.
func (p *progress) add(n int) {
	if p.bar != nil {
		_ = p.bar.Add(n) // a bar that cannot be drawn is no loss
	}
}

// end takes the bar away, for good.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}

// aside prints something else to w while the bar is there.
func (p *progress) aside(w func()) {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	w()
}

// reading moves the bar by what is read from in.
func (p *progress) reading(in io.Reader) io.Reader {
	if p.bar == nil {
		return in
	}
	r := progressbar.NewReader(in, p.bar)
	return &r
}
