package room

// brakeFrom is how many bytes the brake is for, at least.
const brakeFrom = 64 << 10

// brake lets large takes through one by one.
type brake struct {
	on      bool
	waiting int // how many large ones may pass that wait
	others  int // how many may pass that do not
}

// stops reports whether the brake keeps a new caller from taking n bytes now.
func (b *brake) stops(n int64) bool { return b.on && b.others == 0 && n > brakeFrom }

// stopsWaiting is stops for a caller that waits.
func (b *brake) stopsWaiting(n int64) bool { return b.on && b.waiting == 0 && n > brakeFrom }

// Brake slows down callers who take much at once. While it is on, each call of Brake
// lets two takes of more than 64 KiB through: one that waits, and one that has just
// come. The caller repeats the call, so that everybody makes progress, if slowly.
// Smaller takes are not affected.
func (p *Pool) Brake(on bool) {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.brake = brake{on: on, waiting: 1, others: 1}
	p.serve()
	p.brake.waiting = 0
	p.mu.Unlock()
	p.tellFreed()
}

// grant makes an owner hold n bytes that fit. waited says that it has waited for
// them; p.mu must be held.
func (p *Pool) grant(o *owner, n int64, waited bool) {
	switch {
	case !p.brake.on || n <= brakeFrom:
	case waited:
		p.brake.waiting--
	default:
		p.brake.others--
	}
	p.add(o, n)
}
