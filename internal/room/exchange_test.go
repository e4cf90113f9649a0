package room_test

import (
	"math/rand/v2"
	"testing"

	"belfry/internal/room"
)

// An owner that gives back as much as it lacks gets what it wants, one that gives back a
// byte less does not, and one that may not have it gives back nothing.
func TestExchange(t *testing.T) {
	t.Parallel()
	for range 10_000 {
		p := room.New(room.Config{Bytes: 1000})
		p.Force("x", rand.Int64N(1200))
		p.Force("a", rand.Int64N(600))
		n := 1 + rand.Int64N(1000)
		held, all := p.HeldBy("a"), p.Held()
		bytes, ok := p.Lacks("a", n)
		less := bytes - 1
		if !ok {
			less = held
		}
		if less >= 0 && p.Exchange("a", less, n) {
			t.Fatalf("held %d of %d, wants %d and lacks %d, %v: it got that for %d", held, all, n, bytes, ok, less)
		}
		if p.HeldBy("a") != held || p.Held() != all {
			t.Fatalf("a refused exchange has changed what is held: %d of %d, was %d of %d", p.HeldBy("a"), p.Held(), held, all)
		}
		if !ok {
			continue
		}
		freed := false
		p.OnFreed(func() { freed = true })
		if !p.Exchange("a", bytes, n) || !freed {
			t.Fatalf("held %d of %d, wants %d and lacks %d: it did not get that, or nobody heard of it", held, all, n, bytes)
		}
		if got, want := p.HeldBy("a"), held-bytes+n; got != want || p.Held() != all-bytes+n {
			t.Fatalf("then it holds %d of %d, want %d", got, p.Held(), want)
		}
	}
}

// Nothing that an owner gives back brings it past the brake.
func TestExchangeAndTheBrake(t *testing.T) {
	t.Parallel()
	const n = 100 << 10
	p := room.New(room.Config{Bytes: 10 * n})
	p.Force("a", 5*n)
	p.Brake(true)
	if !p.Exchange("a", n, n) {
		t.Error("the brake lets nobody through")
	}
	if _, ok := p.Lacks("a", n); ok || p.Exchange("a", n, n) {
		t.Error("the brake lets more than one through")
	}
	if p.HeldBy("a") != 5*n {
		t.Errorf("%d bytes are held, want %d", p.HeldBy("a"), 5*n)
	}
}
