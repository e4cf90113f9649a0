package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"belfry/internal/proc"
	"belfry/internal/tcplink"
)

// window is the time that one fault really took: from its begin until everything was up
// again.
type window struct {
	kind     faultKind
	from, to time.Time
}

// faulter causes the faults, one at a time.
type faulter struct {
	*site
	caller   *caller
	receiver *receiver
	start    time.Time
	say      func(format string, args ...any)
}

// run carries out the faults. Each begins not before its time, and not before everything
// is up again after the one before: three servers survive the loss of one.
func (f *faulter) run(ctx context.Context, faults []fault) ([]window, error) {
	var all []window
	for _, one := range faults {
		select {
		case <-time.After(time.Until(f.start.Add(one.at))):
		case <-ctx.Done():
			return all, ctx.Err()
		}
		w := window{kind: one.name(), from: time.Now()}
		if err := f.apply(ctx, one); err != nil {
			return all, fmt.Errorf("%s %d: %w", one.name(), one.number(), err)
		}
		ended := time.Now()
		err := f.waitUp(ctx, append(f.servers[:len(f.servers):len(f.servers)], f.nodes...))
		if err != nil {
			return all, err
		}
		w.to = time.Now()
		all = append(all, w)
		f.say("%6.1fs  %s %d for %.1f s; all up again after %.1f s", w.from.Sub(f.start).Seconds(),
			one.name(), one.number(), ended.Sub(w.from).Seconds(), w.to.Sub(ended).Seconds())
	}
	return all, nil
}

// apply makes one fault, waits, and takes it back.
func (f *faulter) apply(ctx context.Context, one fault) error {
	switch one.kind {
	case killNode:
		return f.kill(ctx, f.nodes[one.which], one.lasts)
	case killServer:
		return f.kill(ctx, f.servers[one.which], one.lasts)
	case pauseNode:
		return pause(ctx, f.nodes[one.which], one.lasts)
	case pauseServer:
		return pause(ctx, f.servers[one.which], one.lasts)
	case cutNode, stallNode:
		return f.interrupt(ctx, f.toNATS[one.which], one)
	case cutServer:
		return f.interrupt(ctx, f.between(one.which), one)
	case silenceServer:
		links := f.between(one.which)
		for _, row := range f.toNATS {
			links = append(links, row[one.which])
		}
		return f.interrupt(ctx, links, one)
	case fillDisk:
		return f.fillDisk(ctx, one)
	}
	begin := time.Now()
	switch one.kind {
	case pauseRoutes:
		err := f.caller.eachRoute(ctx, "pause")
		return errors.Join(err, f.lastWith(ctx, one, begin), f.caller.eachRoute(ctx, "resume"))
	case failHook:
		f.receiver.failing.Store(true)
		defer f.receiver.failing.Store(false)
		return f.lastWith(ctx, one, begin)
	case removeConsumers:
		return errors.Join(f.removeConsumers(ctx), f.lastWith(ctx, one, begin))
	case purgeFires:
		return errors.Join(f.purgeFires(ctx), f.lastWith(ctx, one, begin))
	case editStreams:
		return errors.Join(f.editStreams(ctx), f.lastWith(ctx, one, begin))
	}
	return errors.New("no such fault")
}

// lastWith waits until a fault that has begun is over, and makes the fault within it. If
// the fault is a failing webhook, the inner one begins when its breaker is open.
func (f *faulter) lastWith(ctx context.Context, one fault, begin time.Time) error {
	if one.within != nil {
		err := wait(ctx, one.within.at-one.at)
		for err == nil && one.kind == failHook && time.Since(begin) < one.lasts && !f.caller.tripped(ctx) {
			err = wait(ctx, 50*time.Millisecond)
		}
		if err := errors.Join(err, f.apply(ctx, *one.within)); err != nil {
			return err
		}
	}
	return wait(ctx, time.Until(begin.Add(one.lasts)))
}

func (f *faulter) kill(ctx context.Context, p *proc.Process, down time.Duration) error {
	if err := p.Kill(); err != nil {
		return err
	}
	return errors.Join(wait(ctx, down), p.Start())
}

func pause(ctx context.Context, p *proc.Process, asleep time.Duration) error {
	if err := p.Pause(); err != nil {
		return err
	}
	return errors.Join(wait(ctx, asleep), p.Resume())
}

func (f *faulter) interrupt(ctx context.Context, links []*tcplink.Link, one fault) error {
	for _, k := range links {
		switch one.kind {
		case stallNode:
			k.Stall()
		case silenceServer:
			k.Silence()
		default:
			k.Cut()
		}
	}
	err := wait(ctx, one.lasts)
	for _, k := range links {
		k.Mend()
	}
	return err
}

// between returns the links between a server and the others.
func (f *faulter) between(server int) []*tcplink.Link {
	var links []*tcplink.Link
	for i := range f.routes {
		if i != server {
			links = append(links, f.routes[server][i], f.routes[i][server])
		}
	}
	return links
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
