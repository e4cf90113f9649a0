package lease

import (
	"log/slog"
	"time"
)

// Balance is balance, for tests outside the package.
var Balance = balance

// Clocks gives those tests the measurement of clocks.
type Clocks struct{ c *clocks }

// NewClocks returns the clocks of a node.
func NewClocks(node string, log *slog.Logger) Clocks {
	return Clocks{newClocks(node, Config{Log: log})}
}

func (c Clocks) Answered(revision uint64, from, to time.Time) { c.c.answered(revision, from, to) }
func (c Clocks) Brought(revision uint64, stored time.Time)    { c.c.brought(revision, stored) }
func (c Clocks) Heard(node string, data []byte)               { c.c.heard(node, data) }
func (c Clocks) Left(node string)                             { c.c.left(node) }
func (c Clocks) Look()                                        { c.c.look() }
func (c Clocks) Warnings() []string                           { return c.c.warnings() }
func (c Clocks) Server() (ahead, err time.Duration, known bool) {
	c.c.mu.Lock()
	defer c.c.mu.Unlock()
	d, known := c.c.server()
	return d.ahead, d.err, known
}
