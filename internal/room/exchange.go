package room

// Lacks returns how many of its own bytes an owner must give back before it may have
// n, as far as is known now. ok is false if giving back does not help: others hold
// too much or come first, or the brake is on.
func (p *Pool) Lacks(name string, n int64) (bytes int64, ok bool) {
	if p == nil || n <= 0 {
		return 0, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	held := int64(0)
	if o := p.owners[name]; o != nil {
		held = o.held
	}
	if p.promised() || p.brake.stops(n) {
		return 0, false
	}
	free := p.bytes - p.held
	bytes = max(n-free, 0)
	if bytes < held { // an owner that keeps some is bound by its share, too
		bytes = max(bytes, min(held, held+n-(free+held)/2))
	}
	return bytes, bytes <= held
}

// Exchange gives back bytes of an owner and takes n for it, as [Pool.TryTake] does. It
// does both or neither.
func (p *Pool) Exchange(name string, bytes, n int64) bool {
	if p == nil {
		return true
	}
	p.mu.Lock()
	o := p.owner(name)
	may := !p.promised() && !p.brake.stops(n)
	o.held -= bytes
	p.held -= bytes
	if may = may && p.fits(o, n); may {
		p.grant(o, n, false)
		p.serve()
	} else {
		o.held += bytes
		p.held += bytes
	}
	p.forget(o)
	p.mu.Unlock()
	if may {
		p.tellFreed()
	}
	return may
}
