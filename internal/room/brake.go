package room

// brakeFrom is how many bytes the brake is for, at least.
const brakeFrom = 64 << 10

// brake lets large takes through one by one.
type brake struct {
	on     bool
	grants int // how many large ones may pass
}

// stops reports whether the brake keeps n bytes from being taken now.
func (b *brake) stops(n int64) bool { return b.on && b.grants == 0 && n > brakeFrom }

// Brake slows down those who take much at once. While it is on, each call lets one
// take of more than 64 KiB through that waits, and one [Pool.TryTake]. The caller
// calls it again and again, so that everybody gets on, if slowly. Smaller takes do
// not notice.
func (p *Pool) Brake(on bool) {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.brake = brake{on: on, grants: 1}
	p.serve()
	p.brake.grants = 1
	p.mu.Unlock()
	p.tellFreed()
}

// grant has the owner hold n bytes that fit; p.mu is held.
func (p *Pool) grant(o *owner, n int64) {
	if p.brake.on && n > brakeFrom {
		p.brake.grants--
	}
	p.add(o, n)
}
